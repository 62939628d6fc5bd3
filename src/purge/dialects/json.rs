//! JSON bodies, read so that a mistake is an error that names the member: a misspelt or repeated member that was
//! silently dropped would be a purge that silently did less.

use super::{Bad, Fault, MAX_ITEMS};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// The members of an object, taken out one by one.
pub struct Members(Map<String, Value>);

impl Members {
    /// From a body. Bad JSON, another type than an object and repeated members, at any depth, are errors.
    pub fn parse(body: &[u8]) -> Result<Self, Bad> {
        match serde_json::from_slice::<Strict>(body) {
            Ok(Strict(Value::Object(members))) => Ok(Self(members)),
            Ok(_) => Err(Bad(Fault::Json, "body: a JSON object was expected".to_owned())),
            Err(error) => Err(Bad(Fault::Json, format!("body: {error}; a JSON object was expected"))),
        }
    }

    pub fn of(members: Map<String, Value>) -> Self {
        Self(members)
    }

    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.shift_remove(name)
    }

    pub fn flag(&mut self, name: &'static str) -> Result<bool, Bad> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(_) => Err(expected(name, "true or false")),
        }
    }

    /// A list of strings that are not empty; without the member, an empty list.
    pub fn strings(&mut self, name: &'static str) -> Result<Vec<String>, Bad> {
        let Some(value) = self.take(name) else { return Ok(Vec::new()) };
        items(name, value)?
            .into_iter()
            .enumerate()
            .map(|(at, item)| match item {
                Value::String(text) if !text.is_empty() => Ok(text),
                Value::String(_) => Err(expected(format!("{name}[{at}]"), "a string that is not empty")),
                _ => Err(expected(format!("{name}[{at}]"), "a string")),
            })
            .collect()
    }

    /// Nothing may be left.
    pub fn finish(self, known: &str) -> Result<(), Bad> {
        match self.0.keys().next() {
            Some(name) => Err(Bad(Fault::Member, format!("`{name}`: not known; expected were {known}"))),
            None => Ok(()),
        }
    }
}

/// The items of a list, not too many.
pub fn items(name: &str, value: Value) -> Result<Vec<Value>, Bad> {
    match value {
        Value::Array(items) if items.len() > MAX_ITEMS => Err(Bad(
            Fault::TooMany,
            format!("`{name}`: {} items; at most {MAX_ITEMS} were expected", items.len()),
        )),
        Value::Array(items) => Ok(items),
        _ => Err(expected(name, "a list")),
    }
}

pub fn expected(member: impl fmt::Display, what: &str) -> Bad {
    Bad(Fault::Member, format!("`{member}`: {what} was expected"))
}

/// Any JSON value, but no member twice. `Value` itself keeps the last one in silence.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom(format!("`{name}` is given twice")));
            }
            let Strict(value) = members.next_value()?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}
