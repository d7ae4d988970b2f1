//! The mall is killed anywhere: after some answer and a moment more, two or
//! three times, while seven stories are told at once. The seed says when.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use tokio::task::{JoinSet, yield_now};

use super::{
    audit::audit,
    people::{Door, Visitor},
    stories::{Shelf, Story},
};
use crate::support::Mall;

/// Tells stories under several seeds, each in a mall of its own.
macro_rules! seeds {
    ($($name:ident = $seeds:expr),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                for seed in $seeds {
                    super::survives(open(seed).await, seed).await;
                }
            }
        )*
    };
}

mod on_files {
    use crate::support::Mall;

    /// Under odd seeds, consumers save how far they are all the time, under
    /// even ones hardly ever.
    async fn open(seed: u64) -> Mall {
        match seed % 2 {
            0 => Mall::open().await,
            _ => Mall::open_with(&[("MALLBOTS_CHECKPOINT_EVERY", "2ms")]).await,
        }
    }

    seeds! {
        seeds_00_to_04 = 0..5,
        seeds_05_to_09 = 5..10,
        seeds_10_to_14 = 10..15,
        seeds_15_to_19 = 15..20,
        seeds_20_to_24 = 20..25,
        seeds_25_to_29 = 25..30,
        seeds_30_to_34 = 30..35,
        seeds_35_to_39 = 35..40,
        seeds_40_to_44 = 40..45,
        seeds_45_to_49 = 45..50,
    }
}

mod on_postgres {
    use crate::support::Mall;

    async fn open(_seed: u64) -> Mall {
        Mall::open_on_postgres().await
    }

    seeds! {
        seeds_50_to_54 = 50..55,
        seeds_55_to_59 = 55..60,
    }
}

/// Answers that there are while the shelf is filled.
const SHELF: u64 = 3;

/// When the mall is killed: after how many answers, and how much later.
#[derive(Debug)]
struct Kill {
    answers: u64,
    later: Duration,
}

/// Two or three kills, most of them while sagas run: those begin when about
/// half of the answers have come.
fn kills(dice: &mut StdRng) -> Vec<Kill> {
    let all = SHELF + Story::ALL.iter().map(|story| story.answers()).sum::<u64>();
    let after = |range: Range<u64>, dice: &mut StdRng| Kill {
        answers: dice.random_range(range),
        later: Duration::from_micros(dice.random_range(0..10_000)),
    };
    let mut kills = vec![after(SHELF..all - 1, dice), after(all / 2..all - 1, dice)];
    if dice.random() {
        kills.push(after(all / 2..all - 1, dice));
    }
    kills.sort_by_key(|kill| kill.answers);
    kills
}

async fn survives(mut mall: Mall, seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let kills = kills(&mut dice);
    #[expect(clippy::print_stdout, reason = "it is read with the test's failure")]
    {
        println!("seed {seed}: {kills:?}");
    }
    let mut stories = Story::ALL;
    stories.shuffle(&mut dice);

    let door = Door::of(&mall);
    let visitor = Visitor::through(&door);
    let shelf = Shelf::filled_by(&visitor).await;
    let mut telling = JoinSet::new();
    for story in stories {
        telling.spawn(story.tell(visitor.clone(), shelf));
    }
    for kill in kills {
        visitor.answers(kill.answers).await;
        let due = Instant::now() + kill.later;
        while Instant::now() < due {
            yield_now().await;
        }
        mall.kill().await;
        mall.reopen().await;
        door.opened(&mall);
    }
    let endings: Vec<_> = telling.join_all().await.into_iter().flatten().collect();

    let answered = visitor.asks_again().await;
    assert!(mall.stop().await.success());
    audit(&mall, &answered, &endings).await;
}
