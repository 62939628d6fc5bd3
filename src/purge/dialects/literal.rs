//! Regular expressions that stand for a list of texts. Clients quote each text, join them with `|`, and put anchors
//! round the whole; this reads the list back.
//!
//! Only groups, alternatives, anchors and literal characters are known. Anything else (a quantifier, a class, an
//! unescaped dot, which clients forget to escape in host names) is no list, and the caller keeps the expression.

/// Steps of building the list, in characters. A list that a client sends in one header takes a tenth of it;
/// `(a|b|…)(a|b|…)(a|b|…)` is where it ends.
const MAX_WORK: usize = 256 * 1024;
const MAX_NESTING: usize = 16;

/// One text that the expression matches, and whether only at the beginning or the end of the subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub start: bool,
    pub text: String,
    pub end: bool,
}

/// All the texts, or `None` if the expression is no list. White space (`\s`) is read as a blank.
pub fn words(pattern: &str) -> Option<Vec<Word>> {
    let mut reader = Reader { rest: pattern.chars(), work: 0 };
    let all = reader.alternatives(0)?;
    if reader.rest.next().is_some() {
        return None;
    }
    all.iter().map(|atoms| word(atoms)).collect()
}

/// Whether this matches every text.
pub fn is_everything(pattern: &str) -> bool {
    let from_start = pattern.strip_prefix('^').unwrap_or(pattern);
    let inner = from_start.strip_suffix('$').unwrap_or(from_start);
    let bare = inner.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(inner);
    matches!(bare, ".*" | ".+" | ".*?" | ".") || matches!(pattern, "^" | "$")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Atom {
    Start,
    End,
    Char(char),
}

/// Anchors anywhere but at the edges never match: the engine may say so.
fn word(atoms: &[Atom]) -> Option<Word> {
    let mut text = String::with_capacity(atoms.len());
    let (mut start, mut end) = (false, false);
    for atom in atoms {
        match atom {
            Atom::Start if text.is_empty() && !end => start = true,
            Atom::End => end = true,
            Atom::Char(c) if !end => text.push(*c),
            Atom::Start | Atom::Char(_) => return None,
        }
    }
    Some(Word { start, text, end })
}

struct Reader<'a> {
    rest: std::str::Chars<'a>,
    work: usize,
}

impl Reader<'_> {
    fn next_is(&self, wanted: char) -> bool {
        self.rest.clone().next() == Some(wanted)
    }

    fn spend(&mut self, steps: usize) -> Option<()> {
        self.work = self.work.saturating_add(steps);
        (self.work <= MAX_WORK).then_some(())
    }

    fn alternatives(&mut self, depth: usize) -> Option<Vec<Vec<Atom>>> {
        if depth > MAX_NESTING {
            return None;
        }
        let mut all = self.sequence(depth)?;
        while self.next_is('|') {
            self.rest.next();
            all.append(&mut self.sequence(depth)?);
        }
        Some(all)
    }

    /// Until `|`, `)` or the end.
    fn sequence(&mut self, depth: usize) -> Option<Vec<Vec<Atom>>> {
        let mut all = vec![Vec::new()];
        while let Some(next) = self.rest.clone().next().filter(|c| !matches!(c, '|' | ')')) {
            self.rest.next();
            if next == '(' {
                let inner = self.group(depth)?;
                all = self.product(&all, &inner)?;
            } else {
                let atom = self.atom(next)?;
                self.spend(all.len())?;
                all.iter_mut().for_each(|atoms| atoms.push(atom));
            }
        }
        Some(all)
    }

    /// After the opening parenthesis.
    fn group(&mut self, depth: usize) -> Option<Vec<Vec<Atom>>> {
        if self.next_is('?') {
            self.rest.next();
            if self.rest.next() != Some(':') {
                return None;
            }
        }
        let inner = self.alternatives(depth + 1)?;
        (self.rest.next() == Some(')')).then_some(inner)
    }

    fn atom(&mut self, first: char) -> Option<Atom> {
        match first {
            '^' => Some(Atom::Start),
            '$' => Some(Atom::End),
            '\\' => match self.rest.next()? {
                's' => Some(Atom::Char(' ')),
                'A' => Some(Atom::Start),
                'z' | 'Z' => Some(Atom::End),
                quoted if quoted.is_ascii_punctuation() => Some(Atom::Char(quoted)),
                _ => None,
            },
            '.' | '*' | '+' | '?' | '[' | ']' | '{' | '}' => None,
            literal => Some(Atom::Char(literal)),
        }
    }

    fn product(&mut self, left: &[Vec<Atom>], right: &[Vec<Atom>]) -> Option<Vec<Vec<Atom>>> {
        let size = |all: &[Vec<Atom>]| all.iter().map(|atoms| atoms.len() + 1).sum::<usize>();
        let left_total = size(left).saturating_mul(right.len());
        self.spend(left_total.saturating_add(size(right).saturating_mul(left.len())))?;
        let pairs = left.iter().flat_map(|l| right.iter().map(move |r| (l, r)));
        Some(pairs.map(|(l, r)| l.iter().chain(r).copied().collect()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pattern: &str) -> Option<String> {
        let edge = |at, anchor| if at { anchor } else { "" };
        let show = |w: &Word| format!("{}{}{}", edge(w.start, "^"), w.text, edge(w.end, "$"));
        words(pattern).map(|all| all.iter().map(show).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn lists_are_read_back_from_what_clients_make_of_them() {
        let table = [
            ("a", "a"),
            ("a|b", "a b"),
            ("^(a|b)$", "^a$ ^b$"),
            ("^a$|^b$", "^a$ ^b$"),
            ("(^|,)(a|b)(,|$)", "^a, ^a$ ^b, ^b$ ,a, ,a$ ,b, ,b$"),
            ("((^|,)a(,|$))|(?:b)", "^a, ^a$ ,a, ,a$ b"),
            ("\\Aa\\.b\\/c\\-d\\:\\<e\\>\\#\\z", "^a.b/c-d:<e>#$"),
            ("^(^|,)a$$", "^a$ ^,a$"),
            ("x:/_-=!&~@%\",é", "x:/_-=!&~@%\",é"),
            ("(a|)", "a "),
        ];
        for (pattern, wanted) in table {
            assert_eq!(shown(pattern).as_deref(), Some(wanted), "{pattern}");
        }
    }

    #[test]
    fn what_is_no_list_is_left_to_the_engine() {
        let nested = format!("{}a{}", "(".repeat(40), ")".repeat(40));
        let many = format!("({})", vec!["a"; 500].join("|")).repeat(3);
        let no_lists = [
            "a.b", "a*", "a+", "a?", "[ab]", "a{2}", "(a", "a)", "a^b", "a$b", "(?i)a", "(?=a)b", "a\\d",
            "\\1", "a\\", &nested, &many,
        ];
        for pattern in no_lists {
            assert_eq!(words(pattern), None, "{pattern:.40}");
        }
    }

    #[test]
    fn everything_has_several_spellings() {
        for pattern in [".*", "^.*$", "(.*)", "^(.*)$", ".+", ".", "^", "$", ".*$"] {
            assert!(is_everything(pattern), "{pattern}");
        }
        for pattern in ["^$", "", "\\.", "a.*", ".*a", "()", "(.*)|(a"] {
            assert!(!is_everything(pattern), "{pattern}");
        }
    }
}
