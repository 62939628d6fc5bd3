//! Pictures of goods as inline SVG: four vessels, filled with the colour of what is inside.

use super::data::{Goods, Language, Vessel};
use super::page::escape;

/// Each is drawn on 120 × 140, stands on y = 132, and takes its contents' colour from `currentColor`.
const JAR: &str = r##"<rect x="36" y="14" width="48" height="16" rx="4" fill="#8a6f4d"/>
<path d="M34 30h52v8c0 6 8 8 8 18v64c0 8-4 12-12 12H38c-8 0-12-4-12-12V56c0-10 8-12 8-18z" fill="#dfe8e4"/>
<path d="M30 62h60v57c0 6-3 9-9 9H39c-6 0-9-3-9-9z" fill="currentColor"/>
<rect x="38" y="76" width="44" height="32" rx="3" fill="#fbf6ea"/>"##;
const TIN: &str = r##"<rect x="28" y="30" width="64" height="102" rx="6" fill="currentColor"/>
<rect x="24" y="20" width="72" height="18" rx="5" fill="#d9d3c5"/><rect x="28" y="38" width="64" height="4" fill="#000" opacity=".18"/>
<rect x="36" y="62" width="48" height="40" rx="3" fill="#fbf6ea"/>"##;
const SACK: &str = r##"<path d="M40 34h40l10 18c6 12 8 64 2 80H28c-6-16-4-68 2-80z" fill="currentColor"/>
<path d="M34 14c8 5 44 5 52 0l-6 20H40z" fill="currentColor"/><rect x="38" y="32" width="44" height="6" rx="3" fill="#7a5c36"/>
<rect x="38" y="70" width="44" height="36" rx="3" fill="#fbf6ea"/>"##;
const BOTTLE: &str = r##"<rect x="51" y="6" width="18" height="14" rx="3" fill="#8a6f4d"/>
<path d="M52 20h16v24c0 8 14 12 14 28v50c0 7-3 10-10 10H48c-7 0-10-3-10-10V72c0-16 14-20 14-28z" fill="#cddccf"/>
<path d="M42 76h36v45c0 5-2 7-7 7H49c-5 0-7-2-7-7z" fill="currentColor"/>
<rect x="45" y="84" width="30" height="30" rx="3" fill="#fbf6ea"/>"##;

/// Where the label's text stands, from the top.
const fn label(vessel: Vessel) -> u32 {
    match vessel {
        Vessel::Jar => 96,
        Vessel::Tin => 86,
        Vessel::Sack => 92,
        Vessel::Bottle => 103,
    }
}

/// Decoration only: the name stands beside it in text.
pub fn of(goods: &Goods) -> String {
    let vessel = match goods.vessel {
        Vessel::Jar => JAR,
        Vessel::Tin => TIN,
        Vessel::Sack => SACK,
        Vessel::Bottle => BOTTLE,
    };
    // The label shows the first letter, as on jars filled at home.
    let letter: String = goods.name(Language::English).chars().take(1).collect();
    format!(
        "<svg class=\"goods\" viewBox=\"0 0 120 140\" width=\"120\" height=\"140\" color=\"{colour}\" \
         aria-hidden=\"true\"><ellipse cx=\"60\" cy=\"133\" rx=\"42\" ry=\"4\" fill=\"#000\" opacity=\".12\"/>{vessel}\
         <text x=\"60\" y=\"{y}\" text-anchor=\"middle\" font-family=\"Georgia, serif\" font-size=\"20\" \
         fill=\"#4b3b2a\">{letter}</text></svg>",
        colour = goods.colour,
        y = label(goods.vessel) + 1,
        letter = escape(&letter),
    )
}
