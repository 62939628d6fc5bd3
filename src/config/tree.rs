//! YAML as a tree in which every node knows its place.
//!
//! Built from the events of `granit-parser` (docs/decisions/0002-yaml.md). What a hostile or careless file
//! could do is bounded here: size, depth, the number of nodes that aliases unfold to. What YAML allows and a
//! configuration has no use for is refused here: several documents, tags, keys that are no plain text, the
//! same key twice. `${VARIABLES}` are expanded here, in values only.

use super::expand::{self, Env};
use super::report::{Class, Findings, Place};
use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, Span};
use std::collections::HashMap;

/// Bytes of a configuration.
pub const MAX_BYTES: usize = 1 << 20;
/// Nested lists and maps.
const MAX_DEPTH: usize = 32;
/// Nodes after aliases are unfolded.
const MAX_NODES: usize = 50_000;

#[derive(Clone, Debug)]
pub struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing after the colon, or `null`.
    Null,
    /// Something that has been reported already; readers pass over it in silence.
    Broken,
    /// Any scalar, quoted or not: what it means is decided by who reads it.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub struct Key {
    pub place: Place,
    pub text: String,
}

impl Node {
    pub fn text(place: Place, text: &str) -> Self {
        Self { place, value: Value::Text(text.to_owned()) }
    }

    pub fn map(place: Place, entries: Vec<(Key, Node)>) -> Self {
        Self { place, value: Value::Map(entries) }
    }

    pub fn entries(&self) -> &[(Key, Node)] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    /// The value of a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }

    /// The value at the end of a path of keys.
    pub fn find(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Where the key itself stands.
    pub fn key_place(&self, key: &str) -> Option<Place> {
        self.entries().iter().find(|(k, _)| k.text == key).map(|(k, _)| k.place)
    }

    /// The items of a list; a single value is a list of one.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Null | Value::Broken => &[],
            Value::Text(_) | Value::Map(_) => std::slice::from_ref(self),
        }
    }

    /// What it is, in words.
    pub fn what(&self) -> &'static str {
        match &self.value {
            Value::Null | Value::Broken => "nothing",
            Value::Text(_) => "a plain value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Null | Value::Broken | Value::Text(_) => 0,
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| node.size()).sum(),
        }
    }
}

/// Reads a text. `None` when it is no YAML at all; smaller offences are findings beside a tree.
pub fn parse(text: &str, env: Env<'_>, findings: &mut Findings) -> Option<Node> {
    if text.len() > MAX_BYTES {
        let message = format!("the configuration is larger than {} MiB", MAX_BYTES >> 20);
        findings.error(Class::TooLarge, Place::FILE, message);
        return None;
    }
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::new(env, findings);
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => {
                if !builder.take(event, span) {
                    return None;
                }
            }
            Err(error) => {
                builder.syntax_error(&error);
                return None;
            }
        }
    }
    Some(builder.root.unwrap_or(Node { place: Place::FILE, value: Value::Null }))
}

/// A list or map that is not closed yet.
struct Open {
    node: Node,
    anchor: usize,
    /// Of a map: the key that waits for its value. `None` inside = an offending key whose value is dropped.
    key: Option<Option<Key>>,
    seen: HashMap<String, Place>,
}

struct Builder<'a, 'f> {
    env: Env<'a>,
    findings: &'f mut Findings,
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    documents: usize,
}

impl<'a, 'f> Builder<'a, 'f> {
    fn new(env: Env<'a>, findings: &'f mut Findings) -> Self {
        Self { env, findings, root: None, open: Vec::new(), anchors: HashMap::new(), nodes: 0, documents: 0 }
    }

    /// One event; false = stop.
    fn take(&mut self, event: Event<'_>, span: Span) -> bool {
        let place = place_of(&span);
        if let Some(tag) = event.tag().filter(|t| !t.is_yaml_core_schema()) {
            let message = format!("the tag `{}` means nothing here", tag.original());
            self.findings.error(Class::Syntax, place, message).help("write the value without it");
        }
        match event {
            Event::DocumentStart(..) => return self.document(place),
            Event::Scalar(text, style, anchor, _) => {
                return self.scalar(&text, style == ScalarStyle::Plain, place, anchor);
            }
            Event::SequenceStart(_, anchor, _) => self.begin(place, Value::List(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => self.begin(place, Value::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    return self.attach(open.node, open.anchor);
                }
            }
            Event::Alias(id) => return self.alias(id, place),
            Event::UnresolvedAlias(name) => {
                let message = format!("the alias `*{name}` has no anchor above it");
                self.findings.error(Class::Syntax, place, message).help(format!("mark what it stands for with `&{name}`; a text that starts with `*` needs quotes: \"*{name}\""));
                return self.attach(Node { place, value: Value::Broken }, 0);
            }
            _ => {}
        }
        true
    }

    fn document(&mut self, place: Place) -> bool {
        self.documents += 1;
        if self.documents > 1 {
            let finding = self.findings.error(Class::Syntax, place, "a second document starts here");
            finding.help("one configuration is one document: remove the `---`");
        }
        self.documents <= 1
    }

    fn begin(&mut self, place: Place, value: Value, anchor: usize) {
        let node = Node { place, value };
        self.open.push(Open { node, anchor, key: None, seen: HashMap::new() });
    }

    fn scalar(&mut self, text: &str, plain: bool, place: Place, anchor: usize) -> bool {
        if self.wants_key() {
            let key = Key { place, text: text.to_owned() };
            return self.key(key);
        }
        let value = match text {
            "~" | "null" | "Null" | "NULL" | "" if plain => Value::Null,
            text => self.expand(text, place),
        };
        self.attach(Node { place, value }, anchor)
    }

    fn expand(&mut self, text: &str, place: Place) -> Value {
        match expand::expand(text, self.env) {
            Ok(text) => Value::Text(text),
            Err(error) => {
                self.findings.error(error.class(), place, error.to_string()).help(error.remedy());
                Value::Broken
            }
        }
    }

    fn alias(&mut self, id: usize, place: Place) -> bool {
        let Some((node, size)) = self.anchors.get(&id) else {
            self.findings.error(Class::Syntax, place, "an alias inside of what it stands for");
            return self.attach(Node { place, value: Value::Broken }, 0);
        };
        if self.nodes + size > MAX_NODES {
            return self.too_many(place);
        }
        self.nodes += size;
        let node = node.clone();
        self.attach(node, 0)
    }

    fn too_many(&mut self, place: Place) -> bool {
        let message = format!("the configuration unfolds to more than {MAX_NODES} values");
        self.findings.error(Class::TooLarge, place, message).help("use fewer aliases");
        false
    }

    fn wants_key(&self) -> bool {
        self.open.last().is_some_and(|o| matches!(o.node.value, Value::Map(_)) && o.key.is_none())
    }

    fn key(&mut self, key: Key) -> bool {
        let Some(open) = self.open.last_mut() else { return true };
        match open.seen.get(&key.text) {
            Some(first) => {
                let message = format!("`{}` is there twice", key.text);
                self.findings
                    .error(Class::DuplicateKey, key.place, message)
                    .also(*first, "first given here")
                    .help("keep one of the two");
                open.key = Some(None);
            }
            None => {
                open.seen.insert(key.text.clone(), key.place);
                open.key = Some(Some(key));
            }
        }
        true
    }

    /// Puts a complete node where it belongs.
    fn attach(&mut self, node: Node, anchor: usize) -> bool {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return self.too_many(node.place);
        }
        if anchor != 0 {
            let size = node.size();
            self.anchors.insert(anchor, (node.clone(), size));
        }
        if self.wants_key() {
            let finding = self.findings.error(Class::Syntax, node.place, "a key is a plain word");
            finding.help("values that start with `{` or `[` need quotes");
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(open) => match (&mut open.node.value, open.key.take()) {
                (Value::List(items), _) => items.push(node),
                (Value::Map(entries), Some(Some(key))) => entries.push((key, node)),
                // The value of an offending key.
                (Value::Map(_), Some(None)) => {}
                // An offending key.
                (Value::Map(_), None) => open.key = Some(None),
                (Value::Null | Value::Broken | Value::Text(_), _) => {}
            },
        }
        true
    }

    fn syntax_error(&mut self, error: &granit_parser::ScanError) {
        let place = Place { width: 1, ..place_at(error.marker()) };
        let help = match error.kind() {
            ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabAtBlockScalarStart => "indent with spaces, not with tabs",
            ErrorKind::RecursionLimitExceeded => "a configuration has no use for lists and maps this deep",
            ErrorKind::UnexpectedCharacter { .. } => "put the value in quotes",
            ErrorKind::MappingValueNotAllowed => {
                "is the line above complete, and are both indented alike? A value with `: ` in it needs quotes"
            }
            _ => "check indentation, quotes and brackets here and on the line above",
        };
        self.findings.error(Class::Syntax, place, format!("not YAML: {}", error.kind())).help(help);
    }
}

fn place_at(marker: &Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1, width: 1 }
}

fn place_of(span: &Span) -> Place {
    // What goes on over several lines is underlined to the end of its first.
    let width = match span.end.line() == span.start.line() {
        true => span.end.col().saturating_sub(span.start.col()).max(1),
        false => usize::MAX,
    };
    Place { width, ..place_at(&span.start) }
}
