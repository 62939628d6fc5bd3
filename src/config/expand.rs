//! `${NAME}` and `${NAME:-default}` in values; `$${` is a plain `${`.

use super::report::Class;

/// Where variables come from.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Bytes that one value may expand to.
const MAX_EXPANDED: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    #[error("the environment variable `{0}` is not set")]
    Unset(String),
    #[error("`${{` without its `}}`")]
    Unclosed,
    #[error("`{0}` is no name of a variable")]
    Name(String),
    #[error("expands to more than {MAX_EXPANDED} bytes")]
    TooLong,
}

impl ExpandError {
    pub fn class(&self) -> Class {
        match self {
            Self::Unset(_) => Class::UnsetVariable,
            Self::Unclosed | Self::Name(_) => Class::BadValue,
            Self::TooLong => Class::TooLarge,
        }
    }

    pub fn remedy(&self) -> String {
        match self {
            Self::Unset(name) => format!("set it, or give a default: `${{{name}:-…}}`"),
            Self::Unclosed | Self::Name(_) => {
                "a variable is `${NAME}` or `${NAME:-default}`; a plain `${` is written `$${`".to_owned()
            }
            Self::TooLong => "values this long belong in a file".to_owned(),
        }
    }
}

/// Expands every variable of a value. What a variable holds is not expanded again.
pub fn expand(text: &str, env: Env<'_>) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let (inside, tail) = after.split_once('}').ok_or(ExpandError::Unclosed)?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        if !is_name(name) {
            return Err(ExpandError::Name(inside.to_owned()));
        }
        // As in a shell, `:-` also steps in for a variable that is set to nothing.
        let value = match (env(name), default) {
            (Some(value), None) => value,
            (Some(value), Some(_)) if !value.is_empty() => value,
            (_, Some(default)) => default.to_owned(),
            (None, None) => return Err(ExpandError::Unset(name.to_owned())),
        };
        out.push_str(&value);
        if out.len() > MAX_EXPANDED {
            return Err(ExpandError::TooLong);
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_defaults_and_plain_dollars() {
        let env = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${A}".to_owned()),
            _ => None,
        };
        let expand = |text: &str| expand(text, &env);
        assert_eq!(expand("x${A}y${A}").unwrap(), "x1y1");
        assert_eq!(expand("${B:-2}${EMPTY:-3}[${EMPTY}]").unwrap(), "23[]");
        assert_eq!(expand("$5 $${A} ${NESTED}").unwrap(), "$5 ${A} ${A}");
        assert_eq!(expand("${B}"), Err(ExpandError::Unset("B".into())));
        assert_eq!(expand("${A"), Err(ExpandError::Unclosed));
        assert_eq!(expand("${1A}"), Err(ExpandError::Name("1A".into())));
    }
}
