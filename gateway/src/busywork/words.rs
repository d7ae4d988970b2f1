//! Names for what is made up.

use rand::{Rng, seq::IndexedRandom};

const FIRST: &[&str] = &[
    "Ada",
    "Alan",
    "Barbara",
    "Claude",
    "Dennis",
    "Donald",
    "Edsger",
    "Evelyn",
    "Frances",
    "Grace",
    "Hedy",
    "Ida",
    "Jean",
    "John",
    "Karen",
    "Katherine",
    "Ken",
    "Kurt",
    "Leslie",
    "Lynn",
    "Margaret",
    "Mary",
    "Maurice",
    "Niklaus",
    "Radia",
    "Robin",
    "Ruth",
    "Sophie",
    "Tony",
    "Vera",
];
const LAST: &[&str] = &[
    "Adams", "Baker", "Bauer", "Costa", "Dubois", "Ek", "Fischer", "Garcia", "Haas", "Ivanova",
    "Jansen", "Kim", "Larsen", "Martin", "Moreau", "Nakamura", "Novak", "Okafor", "Olsen", "Patel",
    "Quinn", "Rossi", "Schmidt", "Silva", "Tanaka", "Ueda", "Vega", "Weber", "Yilmaz", "Zhang",
];
const TRAITS: &[&str] = &[
    "Amber", "Blue", "Bright", "Calm", "Clever", "Copper", "Crisp", "Gentle", "Golden", "Grand",
    "Green", "Happy", "Little", "Lucky", "Merry", "Mild", "Modern", "Noble", "Old", "Plain",
    "Quick", "Quiet", "Red", "Rustic", "Silver", "Simple", "Solid", "Spare", "Sunny", "Swift",
];
const TRADES: &[&str] = &[
    "Attic", "Bakery", "Barn", "Bazaar", "Boutique", "Cellar", "Corner", "Counter", "Dairy",
    "Depot", "Emporium", "Fair", "Forge", "Garden", "Hall", "Kiosk", "Loft", "Market", "Mill",
    "Nook", "Outlet", "Pantry", "Parlor", "Shed", "Shelf", "Shop", "Stall", "Studio", "Workshop",
    "Yard",
];
const THINGS: &[&str] = &[
    "Apron", "Backpack", "Basket", "Blanket", "Bottle", "Bowl", "Brush", "Candle", "Clock",
    "Compass", "Cushion", "Fan", "Globe", "Hammer", "Kettle", "Kite", "Ladle", "Lamp", "Lantern",
    "Mirror", "Mug", "Notebook", "Pan", "Pillow", "Puzzle", "Radio", "Scarf", "Spoon", "Teapot",
    "Umbrella",
];
const BOTS: &[&str] = &[
    "Bolt", "Cog", "Dash", "Fetch", "Gizmo", "Hopper", "Piston", "Ratchet", "Sprocket", "Trundle",
];

fn one<'a>(rng: &mut impl Rng, words: &[&'a str]) -> &'a str {
    words.choose(rng).copied().unwrap_or_default()
}

/// A person.
pub(super) fn person(rng: &mut impl Rng) -> String {
    format!("{} {}", one(rng, FIRST), one(rng, LAST))
}

/// A telephone number, of a range that nobody has.
pub(super) fn telephone(rng: &mut impl Rng) -> String {
    format!("+1555{:07}", rng.random_range(0..10_000_000))
}

/// A store.
pub(super) fn store(rng: &mut impl Rng) -> String {
    format!("{} {}", one(rng, TRAITS), one(rng, TRADES))
}

/// A place in the mall.
pub(super) fn location(rng: &mut impl Rng) -> String {
    let hall = char::from(rng.random_range(b'A'..=b'H'));
    format!("Hall {hall}, unit {}", rng.random_range(1..=60))
}

/// A product.
pub(super) fn product(rng: &mut impl Rng) -> String {
    format!("{} {}", one(rng, TRAITS), one(rng, THINGS))
}

/// What is said about a product.
pub(super) fn description(rng: &mut impl Rng) -> String {
    let (one_trait, other) = (one(rng, TRAITS), one(rng, TRAITS));
    format!("{one_trait} and {}, as good as new.", other.to_lowercase())
}

/// A store's number for a product, hardly ever the same twice.
pub(super) fn sku(rng: &mut impl Rng) -> String {
    format!("B-{:08X}", rng.random::<u32>())
}

/// A bot.
pub(super) fn bot(rng: &mut impl Rng) -> String {
    format!("{}-{:03}", one(rng, BOTS), rng.random_range(0..1000))
}
