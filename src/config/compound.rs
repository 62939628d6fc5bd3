//! Values made of values: sections, lists, named maps, and the words `off` and `default` beside another kind.

use super::report::Class;
use super::section::{self, Cx, Form, Inside, Kind, Section};
use super::tree::{Key, Node, Value};
use crate::engine::rules::patch::Setting;
use serde_json::{Map, Value as Json, json};
use std::marker::PhantomData;

/// Items of a list, keys of a map.
const MAX_ITEMS: usize = 1000;

/// A map with known keys.
#[derive(Debug)]
pub struct Sect;

impl<S: Section> Kind<S> for Sect {
    const MAP: bool = true;
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<S> {
        section::read(node, cx)
    }
    fn show(value: &S) -> Json {
        Json::Object(value.show())
    }
    fn schema() -> Json {
        section::schema_of(S::ABOUT, &S::fields())
    }
    fn form() -> Form {
        table::<S>("a map")
    }
    fn absent() -> Option<S> {
        section::defaults()
    }
}

/// A section in words.
fn table<S: Section>(takes: &str) -> Form {
    let inside = Inside { about: S::ABOUT, at: String::new(), fields: S::fields() };
    Form { takes: takes.to_owned(), inside: Some(inside) }
}

/// Many of that: what is inside is in each of them.
fn within(mut form: Form, at: &str) -> Form {
    if let Some(inside) = &mut form.inside {
        inside.at.insert_str(0, at);
    }
    form
}

/// A section, or a plain value that stands for its key [`Section::SHORT`].
#[derive(Debug)]
pub struct Short;

impl<S: Section> Kind<S> for Short {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<S> {
        match &node.value {
            Value::Text(_) => {
                let key = Key { place: node.place, text: S::SHORT.to_owned() };
                section::read(&Node::map(node.place, vec![(key, node.clone())]), cx)
            }
            _ => section::read(node, cx),
        }
    }
    fn show(value: &S) -> Json {
        Json::Object(value.show())
    }
    fn schema() -> Json {
        let fields = S::fields();
        let short = fields.iter().find(|f| f.key == S::SHORT).map(|f| (f.schema)());
        json!({ "anyOf": [short, section::schema_of(S::ABOUT, &fields)] })
    }
    fn form() -> Form {
        table::<S>(&format!("a map, or its `{}` alone", S::SHORT))
    }
}

/// A value that may be left out.
#[derive(Debug)]
pub struct Opt<K>(PhantomData<K>);

impl<T, K: Kind<T>> Kind<Option<T>> for Opt<K> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Option<T>> {
        K::read(node, cx).map(Some)
    }
    fn show(value: &Option<T>) -> Json {
        value.as_ref().map_or(Json::Null, K::show)
    }
    fn schema() -> Json {
        K::schema()
    }
    fn form() -> Form {
        K::form()
    }
    fn absent() -> Option<Option<T>> {
        Some(None)
    }
}

/// A value, or `off`. For sections `on` takes the defaults.
#[derive(Debug)]
pub struct Off<K>(PhantomData<K>);

impl<T, K: Kind<T>> Kind<Option<T>> for Off<K> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Option<T>> {
        match &node.value {
            Value::Text(text) if text == "off" || text == "false" => Some(None),
            Value::Text(text) if K::MAP && (text == "on" || text == "true") => {
                K::read(&Node::map(node.place, Vec::new()), cx).map(Some)
            }
            Value::Text(_) if K::MAP => {
                cx.wrong_type(node, "a map, `on` or `off`").help("`on` takes the defaults");
                None
            }
            _ => K::read(node, cx).map(Some),
        }
    }
    fn show(value: &Option<T>) -> Json {
        value.as_ref().map_or(json!("off"), K::show)
    }
    fn schema() -> Json {
        let words = if K::MAP { json!(["off", "on", false, true]) } else { json!(["off", false]) };
        json!({ "anyOf": [{ "enum": words }, K::schema()] })
    }
    fn form() -> Form {
        let words = if K::MAP { "`on`, `off`" } else { "`off`" };
        K::form().said(|takes| format!("{takes}, or {words}"))
    }
}

/// A field of a rule: a value, or `default`, which puts back what holds without rules.
#[derive(Debug)]
pub struct Reset<K>(PhantomData<K>);

impl<T, K: Kind<T>> Kind<Setting<T>> for Reset<K> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Setting<T>> {
        match &node.value {
            Value::Text(text) if text == "default" => Some(Setting::Default),
            _ => K::read(node, cx).map(Setting::To),
        }
    }
    fn show(value: &Setting<T>) -> Json {
        match value {
            Setting::Keep => Json::Null,
            Setting::Default => json!("default"),
            Setting::To(value) => K::show(value),
        }
    }
    fn schema() -> Json {
        json!({ "anyOf": [{ "const": "default" }, K::schema()] })
    }
    /// That every field of a rule takes `default` is said once.
    fn form() -> Form {
        K::form()
    }
    fn absent() -> Option<Setting<T>> {
        Some(Setting::Keep)
    }
}

/// A section of [`Reset`] fields that are merged one by one; `default` resets all of them.
#[derive(Debug)]
pub struct Leaves;

impl<S: Section> Kind<S> for Leaves {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<S> {
        match &node.value {
            Value::Text(text) if text == "default" => {
                let reset = |field: section::Field| {
                    let key = Key { place: node.place, text: field.key.to_owned() };
                    (key, node.clone())
                };
                let entries = S::fields().into_iter().map(reset).collect();
                section::read(&Node::map(node.place, entries), cx)
            }
            _ => section::read(node, cx),
        }
    }
    fn show(value: &S) -> Json {
        let map = value.show();
        if map.is_empty() { Json::Null } else { Json::Object(map) }
    }
    fn schema() -> Json {
        json!({ "anyOf": [{ "const": "default" }, section::schema_of(S::ABOUT, &S::fields())] })
    }
    fn form() -> Form {
        table::<S>("a map")
    }
    fn absent() -> Option<S> {
        section::defaults()
    }
}

/// A list; one value alone is a list of one. At least `MIN` items.
#[derive(Debug)]
pub struct List<K, const MIN: usize = 0>(PhantomData<K>);

impl<T, K: Kind<T>, const MIN: usize> Kind<Vec<T>> for List<K, MIN> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Vec<T>> {
        let items = node.items();
        if items.len() > MAX_ITEMS {
            let message = format!("`{}` has more than {MAX_ITEMS} items", cx.here());
            cx.error(Class::TooLarge, node.place, message);
            return None;
        }
        if items.len() < MIN {
            if !matches!(node.value, Value::Broken) {
                let message = format!("`{}` is empty", cx.here());
                cx.error(Class::OutOfRange, node.place, message).help("give at least one");
            }
            return None;
        }
        // Every item is read, so that every mistake is found.
        let listed = matches!(node.value, Value::List(_));
        let mut read = |(i, item): (usize, &Node)| match listed {
            true => cx.within(format!("[{i}]"), |cx| K::read(item, cx)),
            false => K::read(item, cx),
        };
        let values: Vec<Option<T>> = items.iter().enumerate().map(&mut read).collect();
        values.into_iter().collect()
    }
    fn show(value: &Vec<T>) -> Json {
        value.iter().map(K::show).collect()
    }
    fn schema() -> Json {
        let mut list = Map::new();
        list.insert("type".to_owned(), json!("array"));
        list.insert("items".to_owned(), K::schema());
        list.insert("maxItems".to_owned(), json!(MAX_ITEMS));
        if MIN > 0 {
            list.insert("minItems".to_owned(), json!(MIN));
            return json!({ "anyOf": [list, K::schema()] });
        }
        json!({ "anyOf": [list, K::schema(), { "type": "null" }] })
    }
    fn form() -> Form {
        let some = if MIN > 0 { "one or more" } else { "any number" };
        let form = K::form().said(|takes| format!("{some}, each {takes}"));
        within(form, "[]")
    }
}

/// A map whose keys are values of their own kind: names of origins, headers, cookies.
#[derive(Debug)]
pub struct Dict<N, K>(PhantomData<(N, K)>);

impl<A, T, N: Kind<A>, K: Kind<T>> Kind<Vec<(A, T)>> for Dict<N, K> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Vec<(A, T)>> {
        let entries = match &node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            Value::Broken => return None,
            Value::Text(_) | Value::List(_) => {
                cx.wrong_type(node, "a map").help("lines of `name: value`");
                return None;
            }
        };
        if entries.len() > MAX_ITEMS {
            let message = format!("`{}` has more than {MAX_ITEMS} keys", cx.here());
            cx.error(Class::TooLarge, node.place, message);
            return None;
        }
        let mut read = |(key, node): &(Key, Node)| {
            let name = N::read(&Node::text(key.place, &key.text), cx);
            let value = cx.within(key.text.clone(), |cx| K::read(node, cx));
            name.zip(value)
        };
        let values: Vec<Option<(A, T)>> = entries.iter().map(&mut read).collect();
        values.into_iter().collect()
    }
    fn show(value: &Vec<(A, T)>) -> Json {
        let name = |key: &A| N::show(key).as_str().unwrap_or_default().to_owned();
        Json::Object(value.iter().map(|(key, value)| (name(key), K::show(value))).collect())
    }
    fn schema() -> Json {
        json!({ "type": ["object", "null"], "additionalProperties": K::schema() })
    }
    fn form() -> Form {
        let name = N::form().takes;
        within(K::form().said(|takes| format!("`name: value` lines: {name}; {takes}")), ".<name>")
    }
    fn absent() -> Option<Vec<(A, T)>> {
        Some(Vec::new())
    }
}

/// A named map that is left out of `check --print` when it is empty.
#[derive(Debug)]
pub struct Sparse<K>(PhantomData<K>);

impl<T, K: Kind<Vec<T>>> Kind<Vec<T>> for Sparse<K> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Vec<T>> {
        K::read(node, cx)
    }
    fn show(value: &Vec<T>) -> Json {
        if value.is_empty() { Json::Null } else { K::show(value) }
    }
    fn schema() -> Json {
        K::schema()
    }
    fn form() -> Form {
        K::form()
    }
    fn absent() -> Option<Vec<T>> {
        Some(Vec::new())
    }
}
