//! One description of the fields feeds everything: the reader, the suggestions for mistyped keys, the JSON
//! Schema and `check --print`.
//!
//! A [`Kind`] says how one sort of value is read, shown and described (a duration, a list of globs, …). A
//! [`Section`] is a map with known keys; the [`section!`] macro makes one from a table of
//! `field: type as kind = default`, whose doc sentences become the schema's descriptions.

use super::report::{Class, Finding, Findings, Place};
use super::tree::{Key, Node, Value};
use serde_json::{Map, Value as Json, json};
use std::path::Path;

/// What a reader needs beside the node: where relative files are, where findings go, where it is.
#[derive(Debug)]
pub struct Cx<'a> {
    pub base_dir: &'a Path,
    pub findings: &'a mut Findings,
    /// `rules[2]`, `key`, `query`: for messages.
    trail: Vec<String>,
}

impl<'a> Cx<'a> {
    pub fn new(base_dir: &'a Path, findings: &'a mut Findings) -> Self {
        Self { base_dir, findings, trail: Vec::new() }
    }

    pub fn error(&mut self, class: Class, place: Place, message: impl Into<String>) -> &mut Finding {
        self.findings.error(class, place, message)
    }

    /// Reads inside of `step` (a key, or `[2]`).
    pub fn within<T>(&mut self, step: impl Into<String>, read: impl FnOnce(&mut Self) -> T) -> T {
        self.trail.push(step.into());
        let out = read(self);
        self.trail.pop();
        out
    }

    /// `rules[2].key`; empty at the top.
    pub fn here(&self) -> String {
        let mut out = String::new();
        for step in &self.trail {
            if !out.is_empty() && !step.starts_with('[') {
                out.push('.');
            }
            out.push_str(step);
        }
        out
    }

    /// The text of a scalar; otherwise says that `what` was expected.
    pub fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text(text) => Some(text),
            Value::Broken => None,
            Value::Null => {
                let message = format!("`{}` has no value", self.here());
                self.error(Class::WrongType, node.place, message)
                    .help(format!("give {what}, or leave the line out"));
                None
            }
            Value::List(_) | Value::Map(_) => {
                self.wrong_type(node, what).help("one value, without brackets and braces");
                None
            }
        }
    }

    pub fn wrong_type(&mut self, node: &Node, expected: &str) -> &mut Finding {
        let message = format!("`{}` must be {expected}, not {}", self.here(), node.what());
        self.error(Class::WrongType, node.place, message)
    }
}

/// How one sort of value is read, shown and described.
pub trait Kind<T> {
    /// `None` = refused, and reported.
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<T>;

    /// The value as `check --print` shows it, secrets blanked; `Null` = leave out.
    fn show(value: &T) -> Json;

    /// Its JSON Schema.
    fn schema() -> Json;

    /// What it is in words, for the reference.
    fn form() -> Form;

    /// What holds when the key is not there and the table names no default.
    fn absent() -> Option<T> {
        None
    }

    /// Is it a map that may be empty? Then `on` stands for the empty map.
    const MAP: bool = false;
}

/// What a value looks like, in words.
#[derive(Clone, Debug)]
pub struct Form {
    /// "a duration, `1ms` to `1d`"
    pub takes: String,
    /// Keys of its own, where it has some.
    pub inside: Option<Inside>,
}

impl Form {
    pub fn plain(takes: impl Into<String>) -> Self {
        Self { takes: takes.into(), inside: None }
    }

    /// The same, said in another way.
    pub fn said(self, say: impl FnOnce(&str) -> String) -> Self {
        Self { takes: say(&self.takes), ..self }
    }
}

/// The table of a section that is the value of a field.
#[derive(Clone, Debug)]
pub struct Inside {
    pub about: &'static str,
    /// What stands between the field's name and a key: `[]` for the items of a list, `.<name>` for a map of them.
    pub at: String,
    pub fields: Vec<Field>,
}

/// One line of a table.
#[derive(Clone, Debug)]
pub struct Field {
    pub key: &'static str,
    pub doc: &'static str,
    pub required: bool,
    pub default: Json,
    /// These two are not made before somebody asks: files are read more often than schemas and references written.
    pub schema: fn() -> Json,
    pub form: fn() -> Form,
}

impl Field {
    pub fn new<T, K: Kind<T>>(key: &'static str, doc: &'static str, default: Option<T>) -> Self {
        let default = default.or_else(K::absent);
        Self {
            key,
            doc,
            required: default.is_none(),
            default: default.as_ref().map_or(Json::Null, K::show),
            schema: K::schema,
            form: K::form,
        }
    }
}

/// A map with known keys.
pub trait Section: Sized {
    /// What it is, for the schema.
    const ABOUT: &'static str;
    /// The key that a plain value stands for, where [`super::compound::Short`] allows one.
    const SHORT: &'static str = "";
    fn fields() -> Vec<Field>;
    /// `None` when a required key is missing or refused.
    fn read(fields: &Fields<'_>, cx: &mut Cx<'_>) -> Option<Self>;
    fn show(&self) -> Map<String, Json>;
}

/// The entries of a map while a section reads them.
#[derive(Debug)]
pub struct Fields<'n> {
    pub place: Place,
    entries: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    /// `None` = no map, and reported. Nothing at all counts as an empty map: a section whose lines are all
    /// commented out is no mistake.
    pub fn open(node: &'n Node, known: &[Field], cx: &mut Cx<'_>) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => Some(Self { place: node.place, entries }),
            Value::Null => Some(Self { place: node.place, entries: &[] }),
            Value::Broken => None,
            Value::Text(_) | Value::List(_) => {
                let keys: Vec<&str> = known.iter().map(|f| f.key).collect();
                cx.wrong_type(node, "a map")
                    .help(format!("`key: value` with these keys: {}", keys.join(", ")));
                None
            }
        }
    }

    pub fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }

    /// Reads one field. A refused value is reported and replaced by the default, so that reading goes on.
    pub fn take<T, K: Kind<T>>(&self, key: &str, default: Option<T>, cx: &mut Cx<'_>) -> Option<T> {
        let absent = || default.or_else(K::absent);
        match self.get(key) {
            Some(node) => cx.within(key, |cx| K::read(node, cx)).or_else(absent),
            None => {
                let value = absent();
                if value.is_none() {
                    let here = cx.here();
                    let message = format!("`{here}` has no `{key}`");
                    cx.error(Class::MissingKey, self.place, message).help(format!("add `{key}: …`"));
                }
                value
            }
        }
    }

    /// Reports keys that no table knows.
    pub fn refuse_unknown(&self, known: &[Field], cx: &mut Cx<'_>) {
        for (key, _) in self.entries.iter().filter(|(k, _)| !known.iter().any(|f| f.key == k.text)) {
            let known: Vec<&str> = known.iter().map(|f| f.key).collect();
            let here = cx.here();
            let inside = if here.is_empty() { "at the top".to_owned() } else { format!("in `{here}`") };
            cx.error(Class::UnknownKey, key.place, format!("unknown key `{}` {inside}", key.text))
                .help(super::nearest::remedy(&key.text, &known, &here));
        }
    }
}

/// Reads a whole section from a node.
pub fn read<S: Section>(node: &Node, cx: &mut Cx<'_>) -> Option<S> {
    let known = S::fields();
    let fields = Fields::open(node, &known, cx)?;
    fields.refuse_unknown(&known, cx);
    S::read(&fields, cx)
}

/// A section with nothing given; `None` when it has required keys.
pub fn defaults<S: Section>() -> Option<S> {
    let mut silent = Findings::default();
    let mut cx = Cx::new(Path::new(""), &mut silent);
    S::read(&Fields { place: Place::FILE, entries: &[] }, &mut cx)
}

/// The JSON Schema of a map with these fields.
pub fn schema_of(about: &str, fields: &[Field]) -> Json {
    let mut properties = Map::new();
    for field in fields {
        let mut schema = (field.schema)();
        if let Json::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), json!(field.doc));
            if !field.default.is_null() {
                schema.insert("default".to_owned(), field.default.clone());
            }
        }
        properties.insert(field.key.to_owned(), schema);
    }
    let required: Vec<&str> = fields.iter().filter(|f| f.required).map(|f| f.key).collect();
    let mut schema = json!({
        "type": ["object", "null"],
        "description": about,
        "properties": properties,
        "additionalProperties": false,
    });
    if let (Json::Object(map), false) = (&mut schema, required.is_empty()) {
        map.insert("required".to_owned(), json!(required));
    }
    schema
}

/// Adds what is shown, unless it is to be left out.
pub fn put(map: &mut Map<String, Json>, key: &str, value: Json) {
    if !value.is_null() {
        map.insert(key.to_owned(), value);
    }
}

/// Makes a [`Section`], and with `pub struct` the struct as well, from a table. A field without `= default`
/// takes what its kind says for an absent key, or is required. `["key"]` gives a key that is not the field's
/// name; `short field` names the one that a plain value stands for.
macro_rules! section {
    ($(#[doc = $about:literal])+ pub struct $name:ident $([$short:literal])? {
        $($(#[doc = $doc:literal])+ $field:ident : $ty:ty as $kind:ty $(= $default:expr)?;)*
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[doc = $doc])+ pub $field: $ty,)* }
        section! { $(#[doc = $about])+ for $name $([$short])? {
            $($(#[doc = $doc])+ $field : $ty as $kind $(= $default)?;)*
        } }
    };
    ($(#[doc = $about:literal])+ for $name:ty $([$short:literal])? {
        $($(#[doc = $doc:literal])+ $field:ident $([$key:literal])? : $ty:ty as $kind:ty $(= $default:expr)?;)*
    }) => {
        impl $crate::config::section::Section for $name {
            const ABOUT: &'static str = concat!($($about),+).trim_ascii();
            $(const SHORT: &'static str = $short;)?
            fn fields() -> Vec<$crate::config::section::Field> {
                vec![$($crate::config::section::Field::new::<$ty, $kind>(
                    section!(@key $field $($key)?),
                    concat!($($doc),+).trim_ascii(),
                    section!(@default $($default)?),
                ),)*]
            }
            fn read(
                fields: &$crate::config::section::Fields<'_>,
                cx: &mut $crate::config::section::Cx<'_>,
            ) -> Option<Self> {
                $(let $field: Option<$ty> = fields.take::<$ty, $kind>(
                    section!(@key $field $($key)?), section!(@default $($default)?), cx);)*
                Some(Self { $($field: $field?,)* })
            }
            fn show(&self) -> serde_json::Map<String, serde_json::Value> {
                let mut map = serde_json::Map::new();
                $($crate::config::section::put(&mut map, section!(@key $field $($key)?),
                    <$kind as $crate::config::section::Kind<$ty>>::show(&self.$field));)*
                map
            }
        }
    };
    (@key $field:ident $key:literal) => { $key };
    (@key $field:ident) => { stringify!($field) };
    (@default $default:expr) => { Some($default) };
    (@default) => { None };
}

/// Makes the words of an enum known, and with `pub enum` the enum as well. The first word of a variant is the
/// one that is shown.
macro_rules! choice {
    ($(#[doc = $about:literal])+ pub enum $name:ident {
        $($(#[doc = $doc:literal])* $variant:ident = $word:literal $(| $other:literal)*,)+
    }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $doc])* $variant,)+ }
        impl $name {
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
        choice! { for $name { $($variant = $word $(| $other)*,)+ } }
    };
    (for $name:ty { $($variant:ident = $word:literal $(| $other:literal)*,)+ }) => {
        impl $crate::config::scalar::Choice for $name {
            const WORDS: &'static [(&'static str, Self)] =
                &[$(($word, <$name>::$variant), $(($other, <$name>::$variant),)*)+];
        }
    };
}

pub(crate) use {choice, section};
