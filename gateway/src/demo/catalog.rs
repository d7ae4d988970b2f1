//! What the demonstration's mall sells, and who is in it.

use mallbots_domain::id::EntityId;

/// A store with what it sells.
pub(super) struct Store {
    pub(super) name: &'static str,
    pub(super) location: &'static str,
    pub(super) products: &'static [Product],
}

/// A product and its price in minor units.
pub(super) struct Product {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) price: i64,
}

const fn product(name: &'static str, description: &'static str, price: i64) -> Product {
    Product { name, description, price }
}

pub(super) const STORES: &[Store] = &[
    Store {
        name: "Crumb & Crust",
        location: "Ground floor, west entrance",
        products: &[
            product("Sourdough loaf", "Baked this morning, 750 g.", 540),
            product("Rye bread", "Dark and moist, with caraway.", 490),
            product("Butter croissant", "Twenty-seven layers.", 280),
            product("Cinnamon roll", "Still warm.", 350),
            product("Seeded baguette", "With poppy, sesame and flax.", 390),
            product("Almond cookies", "A bag of eight.", 460),
            product("Apple turnover", "With apples from the valley.", 320),
            product("Granola", "Oats, nuts and honey, 500 g.", 690),
        ],
    },
    Store {
        name: "Green Thumb",
        location: "Ground floor, winter garden",
        products: &[
            product("Monstera", "In a 20 cm pot.", 2_490),
            product("Basil", "For the window sill.", 340),
            product("Snake plant", "Forgives everything.", 1_850),
            product("Potting soil", "Peat-free, 10 l.", 790),
            product("Watering can", "Copper, 1.5 l.", 3_200),
            product("Wildflower seeds", "For two square meters.", 420),
            product("Pruning shears", "Forged steel.", 2_150),
            product("Cactus trio", "Three that get along.", 1_290),
        ],
    },
    Store {
        name: "Page & Quill",
        location: "First floor, gallery",
        products: &[
            product("Field notebook", "Dotted, 160 pages.", 1_450),
            product("Fountain pen", "Steel nib, medium.", 3_890),
            product("Bottle of ink", "Midnight blue, 50 ml.", 1_190),
            product("Robot stories", "A collection, paperback.", 1_299),
            product("City map", "On folded linen.", 950),
            product("Letter set", "Ten sheets, ten envelopes.", 1_090),
            product("Crossword book", "A hundred, getting harder.", 780),
            product("Desk calendar", "A robot for each month.", 1_690),
        ],
    },
    Store {
        name: "Bits & Bolts",
        location: "First floor, east wing",
        products: &[
            product("Screwdriver set", "Thirty-two bits.", 2_790),
            product("LED lantern", "Runs forty hours.", 1_990),
            product("Cable reel", "Ten meters, four sockets.", 3_450),
            product("Robot kit", "Solder it yourself.", 4_990),
            product("Spirit level", "Sixty centimeters.", 1_640),
            product("Batteries", "Rechargeable, pack of four.", 1_380),
            product("Duct tape", "Holds the world together.", 690),
            product("Work gloves", "Pair, size L.", 890),
        ],
    },
    Store {
        name: "The Cheese Cellar",
        location: "Lower level, market hall",
        products: &[
            product("Aged gouda", "Eighteen months, 300 g.", 890),
            product("Goat's cheese", "Rolled in ash.", 640),
            product("Blue from the cave", "Not for the timid, 200 g.", 780),
            product("Fig mustard", "For the gouda.", 550),
            product("Oat crackers", "Crisp, 250 g.", 390),
            product("Olives", "Green, with lemon.", 470),
            product("Raclette slices", "Enough for four.", 1_450),
            product("Quince paste", "A block of 150 g.", 520),
        ],
    },
    Store {
        name: "Small Wonders",
        location: "Second floor, by the carousel",
        products: &[
            product("Wooden train", "Engine and three cars.", 2_990),
            product("Kite", "Flies in a breeze.", 1_890),
            product("Jigsaw puzzle", "Five hundred pieces.", 1_590),
            product("Music box", "Plays one tune, well.", 2_250),
            product("Stuffed otter", "Holds hands.", 1_990),
            product("Watercolors", "Twelve pans and a brush.", 1_350),
            product("Yo-yo", "Walks the dog.", 750),
            product("Marbles", "A net of fifty.", 590),
        ],
    },
];

const CUSTOMERS: &[&str] = &[
    "Ada Okafor",
    "Bruno Costa",
    "Carmen Vega",
    "Dmitri Novak",
    "Elif Yilmaz",
    "Felix Haas",
    "Greta Olsen",
    "Hana Tanaka",
    "Ivo Rossi",
    "Jonas Weber",
    "Katya Ivanova",
    "Liam Quinn",
    "Mara Schmidt",
    "Nils Larsen",
    "Odette Moreau",
    "Pia Jansen",
    "Quentin Dubois",
    "Rosa Silva",
    "Sanjay Patel",
    "Thea Bauer",
    "Umberto Conti",
    "Vera Ek",
    "Wei Zhang",
    "Yuna Kim",
];

const BOTS: &[&str] = &[
    "Sprocket", "Gizmo", "Ratchet", "Trundle", "Bolt", "Fetch", "Piston", "Cog", "Hopper", "Dash",
];

/// The name of somebody, or of some bot, counted from one. When the names run
/// out they begin again with a number.
fn named(names: &[&str], number: u32) -> String {
    let place = usize::try_from(number.saturating_sub(1)).unwrap_or_default();
    let name = names[place % names.len()];
    match place / names.len() {
        0 => name.to_owned(),
        round => format!("{name} {}", round + 1),
    }
}

pub(super) fn customer(number: u32) -> String {
    named(CUSTOMERS, number)
}

pub(super) fn bot(number: u32) -> String {
    named(BOTS, number)
}

/// The id of something that the demonstration's mall has from the start,
/// counted from one: always the same, so that it can be made again without
/// harm, and known again.
pub(super) fn id<I: EntityId>(number: u32) -> I {
    // The first of January 2026.
    const OPENING: u64 = 1_767_225_600_000;
    // Twins of different kinds are told apart too: by the prefix's letters.
    let mut bytes = [0; 10];
    for (byte, letter) in bytes.iter_mut().zip(I::KIND.prefix().bytes().take(4)) {
        *byte = letter;
    }
    bytes[6..].copy_from_slice(&number.to_be_bytes());
    I::from_uuid(uuid::Builder::from_unix_timestamp_millis(OPENING, &bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mallbots_domain::id::{BotId, CustomerId, ProductId};

    use super::*;

    #[test]
    fn the_mall_has_enough_to_sell() {
        assert_eq!(STORES.len(), 6);
        let names: BTreeSet<_> =
            STORES.iter().flat_map(|store| store.products).map(|product| product.name).collect();
        assert_eq!(names.len(), 48);
        assert!(STORES.iter().flat_map(|store| store.products).all(|product| product.price > 0));
    }

    #[test]
    fn ids_are_fixed_and_fit_for_new_things() {
        let customer: CustomerId = id(1);
        assert_eq!(customer, id(1));
        assert_eq!(customer.uuid().get_version_num(), 7);
        assert_eq!(mallbots_domain::id::chosen(&customer.to_string()), Ok(customer));
        assert_ne!(customer.uuid(), id::<BotId>(1).uuid());
        let products: BTreeSet<_> = (1..=1000).map(id::<ProductId>).collect();
        assert_eq!(products.len(), 1000);
    }

    #[test]
    fn names_do_not_run_out() {
        assert_eq!(bot(1), "Sprocket");
        assert_eq!(bot(11), "Sprocket 2");
        let names: BTreeSet<_> = (1..=200).map(customer).collect();
        assert_eq!(names.len(), 200);
    }
}
