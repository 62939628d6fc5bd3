//! What the shop sells and tells, and how that changes. Prices, stock and published news live in memory and
//! start afresh with every [`Shop`].

use crate::time::Wall;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The languages of the catalogue; pages are in English.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    German,
    French,
}

impl Language {
    pub const ALL: [Self; 3] = [Self::English, Self::German, Self::French];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
        }
    }
}

/// How a product is packed, which is how it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vessel {
    Jar,
    Tin,
    Sack,
    Bottle,
}

/// What never changes about a product.
#[derive(Debug)]
pub struct Goods {
    pub id: u32,
    pub vessel: Vessel,
    /// `#rrggbb` of what is inside.
    pub colour: &'static str,
    /// In the order of [`Language::ALL`].
    pub names: [&'static str; 3],
    pub size: &'static str,
    pub note: &'static str,
    /// Where price (cents) and stock start.
    pub price: u32,
    pub stock: u32,
}

impl Goods {
    pub const fn name(&self, language: Language) -> &'static str {
        let [en, de, fr] = self.names;
        match language {
            Language::English => en,
            Language::German => de,
            Language::French => fr,
        }
    }
}

macro_rules! goods {
    ($($id:literal $vessel:ident $colour:literal [$($name:literal),+] $size:literal $price:literal $stock:literal $note:literal;)+) => {
        &[$(Goods {
            id: $id, vessel: Vessel::$vessel, colour: $colour, names: [$($name),+], size: $size,
            note: $note, price: $price, stock: $stock,
        }),+]
    };
}

/// Sorted by id, from 1 without gaps.
#[rustfmt::skip]
pub const GOODS: &[Goods] = goods! {
    1 Jar "#6b2a4a" ["Plum jam", "Pflaumenmus", "Confiture de prunes"] "340 g" 450 24
        "Blue plums, boiled down slowly until the spoon stands by itself.";
    2 Jar "#d9962a" ["Meadow honey", "Wiesenhonig", "Miel de prairie"] "500 g" 790 18
        "From hives at the edge of a hay meadow. Sets to a soft cream by winter.";
    3 Jar "#8e1f3d" ["Pickled beetroot", "Eingelegte Rote Bete", "Betteraves au vinaigre"] "670 g" 320 31
        "Sliced, sour and sweet, with allspice and a leaf of bay.";
    4 Tin "#3d4a35" ["Smoked tea", "Rauchtee", "Thé fumé"] "100 g" 640 12
        "Large leaves dried over a pine fire. Strong enough for a rainy walk.";
    5 Tin "#4f8f6d" ["Peppermint tea", "Pfefferminztee", "Infusion de menthe"] "40 g" 290 40
        "Whole leaves, cut before the flowers open.";
    6 Sack "#b89b72" ["Rye flour", "Roggenmehl", "Farine de seigle"] "1 kg" 240 55
        "Stone-ground from the whole grain, for dark loaves and sourdough.";
    7 Sack "#8d7a66" ["Buckwheat flour", "Buchweizenmehl", "Farine de sarrasin"] "1 kg" 410 27
        "Nutty and free of gluten. Pancakes, mostly.";
    8 Jar "#d8673a" ["Red lentils", "Rote Linsen", "Lentilles corail"] "800 g" 360 44
        "Soft after twelve minutes. The quickest soup on the shelf.";
    9 Bottle "#7c8a2e" ["Olive oil", "Olivenöl", "Huile d'olive"] "750 ml" 1290 15
        "Pressed on the day of the harvest, green and peppery.";
    10 Bottle "#b5651d" ["Cider vinegar", "Apfelessig", "Vinaigre de cidre"] "500 ml" 380 22
        "Two winters in the barrel. Good in dressings, better in shrubs.";
    11 Tin "#4a6d8c" ["Sea salt", "Meersalz", "Sel de mer"] "250 g" 350 36
        "Raked by hand, still a little damp. Crush it between two fingers.";
    12 Tin "#a5503c" ["Oat biscuits", "Haferkekse", "Biscuits à l'avoine"] "300 g" 420 29
        "Oats, butter, a pinch of salt. They rarely reach the second cup of tea.";
};

/// By id; `None` for any but 1 to 12.
pub fn goods(id: u32) -> Option<&'static Goods> {
    GOODS.iter().find(|g| g.id == id)
}

/// Highest price, cents.
pub const MAX_PRICE: u32 = 99_999;
/// Highest stock, pieces.
pub const MAX_STOCK: u32 = 9_999;

/// What does change about a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shelf {
    /// Cents.
    pub price: u32,
    pub stock: u32,
    /// Starts at 1; every change adds one.
    pub version: u32,
}

/// A wish to change a product: what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub price: Option<u32>,
    pub stock: Option<u32>,
    /// Takes one piece off the shelf, if there is one.
    pub buy: bool,
}

#[derive(Debug)]
pub struct Article {
    pub title: &'static str,
    pub text: &'static str,
}

/// In the order of publication. The first [`PUBLISHED_AT_START`] are out from the beginning.
pub const ARTICLES: [Article; 8] = [
    Article {
        title: "The shelves are up",
        text: "Three planks of ash, oiled twice, and a step-stool for the top one.",
    },
    Article {
        title: "Rye is back",
        text: "The mill sent forty sacks. We have sold two, mostly to each other.",
    },
    Article {
        title: "Jars wanted",
        text: "Bring back five empty jars with lids and take home a small one that is full.",
    },
    Article {
        title: "First honey of the year",
        text: "Pale, runny and gone by Friday, if last year is anything to go by.",
    },
    Article {
        title: "The plums came early",
        text: "All hands to the big pot on Saturday. Stirring is paid in jam.",
    },
    Article { title: "A new grinder", text: "Coffee it can't, spices it can. Ask for your pepper coarse." },
    Article { title: "Winter hours", text: "We close when it is dark, which will soon be after lunch." },
    Article {
        title: "Stocktaking",
        text: "One jar of beetroot more than the books say. Nobody knows whence.",
    },
];
const PUBLISHED_AT_START: usize = 3;

/// How old the newest article is when the shop opens: old enough for a heuristic lifetime (RFC 9111 §4.2.2).
const NEWS_AGE: Duration = Duration::from_secs(3 * 24 * 3600);

#[derive(Clone, Copy, Debug)]
pub struct News {
    /// Newest last, at least one.
    pub articles: &'static [Article],
    /// When the newest came out.
    pub changed: Wall,
}

#[derive(Debug)]
struct State {
    shelves: Vec<Shelf>,
    /// Starts at 1; any change of any product adds one.
    version: u32,
    published: usize,
    news_changed: Wall,
}

/// All goods with what changes about them.
#[derive(Debug)]
pub struct Shop(Mutex<State>);

impl Shop {
    pub fn open(at: Wall) -> Self {
        let shelves = GOODS.iter().map(|g| Shelf { price: g.price, stock: g.stock, version: 1 }).collect();
        let age = u64::try_from(NEWS_AGE.as_millis()).unwrap_or(u64::MAX);
        let news_changed = Wall(at.0.saturating_sub(age));
        Self(Mutex::new(State { shelves, version: 1, published: PUBLISHED_AT_START, news_changed }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere can't leave the state half changed: every change is a few assignments.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` for an id that is not sold here.
    pub fn product(&self, id: u32) -> Option<(&'static Goods, Shelf)> {
        self.products().1.find(|(goods, _)| goods.id == id)
    }

    /// The version of the whole, and every product in order.
    pub fn products(&self) -> (u32, impl Iterator<Item = (&'static Goods, Shelf)> + use<>) {
        let state = self.lock();
        (state.version, GOODS.iter().zip(state.shelves.clone()))
    }

    /// False for an id that is not sold here.
    pub fn change(&self, id: u32, change: Change) -> bool {
        let mut state = self.lock();
        let Some(position) = GOODS.iter().position(|g| g.id == id) else { return false };
        let Some(shelf) = state.shelves.get_mut(position) else { return false };
        shelf.price = change.price.unwrap_or(shelf.price).min(MAX_PRICE);
        shelf.stock = change.stock.unwrap_or(shelf.stock).min(MAX_STOCK);
        shelf.stock = shelf.stock.saturating_sub(u32::from(change.buy));
        shelf.version = shelf.version.wrapping_add(1);
        state.version = state.version.wrapping_add(1);
        true
    }

    pub fn news(&self) -> News {
        let state = self.lock();
        News { articles: ARTICLES.get(..state.published).unwrap_or(&ARTICLES), changed: state.news_changed }
    }

    /// Brings out the next article; false when all are out.
    pub fn publish(&self, at: Wall) -> bool {
        let mut state = self.lock();
        let left = state.published < ARTICLES.len();
        if left {
            state.published += 1;
            state.news_changed = at;
        }
        left
    }
}

/// `450` → `4.50`
pub fn price_text(cents: u32) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// `4`, `4.5`, `4.50` or with a comma → cents. `None` when it is no price from 0 to [`MAX_PRICE`].
pub fn parse_price(text: &str) -> Option<u32> {
    let text = text.trim();
    let (whole, part) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || part.len() > 2 || !digits(whole) || !digits(part) {
        return None;
    }
    // "5" after the point is fifty cents.
    let cents: u32 = format!("{part:0<2}").parse().ok()?;
    let price = whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(cents)?;
    (price <= MAX_PRICE).then_some(price)
}
