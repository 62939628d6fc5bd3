//! The sample origin behind the configuration word `demo` and `larder demo-origin`: a little made-up shop, and a
//! laboratory whose every address shows one feature of an HTTP cache.
//!
//! Every answer says when it was made and as the how-manieth request of this origin, in the page and in the
//! [`DEMO_REQUEST`] field, so that hits and misses can be told apart by eye. What a page teaches about its
//! caching headers and the headers that it sends are one list ([`page::Lesson`]): the page can't lie.
//!
//! All of it is compiled in, and all state is in memory and belongs to one [`Site`]. It is a sample: whoever
//! reaches it may change prices and switch failures on, so it should listen on loopback.
//!
//! | file | what |
//! | --- | --- |
//! | `serve` | sockets: hyper connections, upgrades, drain |
//! | `site` | the router, and what every answer has in common |
//! | `data` | the shop's goods and news, and how they change |
//! | `page` | the frame of a page and its lessons |
//! | `shop` | the pages of the shop |
//! | `api` | the catalogue as JSON, in three languages |
//! | `lab` | the endpoints that are slow, break, stream, echo |
//! | `stream` | bodies that arrive over time or are large |
//! | `drawing` | pictures of goods, as inline SVG |
//! | `assets` | static files |
//! | `form` | queries and forms |

mod api;
mod assets;
mod data;
mod drawing;
mod form;
mod lab;
mod page;
mod serve;
mod shop;
mod site;
mod stream;

pub use serve::serve;
pub use site::{DEMO_REQUEST, Dropped, Site, site};
pub use stream::bytes_at;

#[cfg(test)]
mod tests;
