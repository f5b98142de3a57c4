//! Words on a line of a control file: separated by blanks, which a `"quoted"` part or a `\` may hold, and so may a list
//! in parentheses, the form of a host with several servers. Pure; the octets of a word are kept as they stand.

/// The first word of the line and what is behind it; an empty word when there is none.
pub(super) fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let begin = line.iter().position(|octet| !is_blank(*octet)).unwrap_or(line.len());
    let line = &line[begin..];
    line.split_at(end(line))
}

/// Where the word that begins here ends. What is never closed goes on to the end of the line.
fn end(line: &[u8]) -> usize {
    let list = line.first() == Some(&b'(');
    let (mut quoted, mut escaped, mut depth) = (false, false, 0usize);
    for (at, &octet) in line.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' if list => depth += 1,
            b')' if list => depth = depth.saturating_sub(1),
            _ if is_blank(octet) && depth == 0 => return at,
            _ => {}
        }
    }
    line.len()
}

/// The hosts of a list `((first)(second third))`, in its order; the word itself when it is no list.
pub(super) fn hosts(word: &str) -> Vec<&str> {
    match word.starts_with('(') {
        true => word.split(['(', ')', ' ', '\t']).filter(|host| !host.is_empty()).collect(),
        false => vec![word],
    }
}

fn is_blank(octet: u8) -> bool {
    octet == b' ' || octet == b'\t'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(mut line: &[u8]) -> Vec<String> {
        let mut words = Vec::new();
        loop {
            let (word, rest) = split(line);
            if word.is_empty() {
                return words;
            }
            words.push(String::from_utf8_lossy(word).into_owned());
            line = rest;
        }
    }

    #[test]
    fn blanks_separate_but_in_quotes_behind_a_backslash_and_in_a_list() {
        for (line, words) in [
            ("smtp b.test bob@b.test 65534", &["smtp", "b.test", "bob@b.test", "65534"][..]),
            ("  smtp\tb.test  ", &["smtp", "b.test"]),
            (r#"smtp "b test" "bob \" x"@b.test 1"#, &["smtp", "\"b test\"", "\"bob \\\" x\"@b.test", "1"]),
            (r"a\ b c", &["a\\ b", "c"]),
            ("smtp ((mx1.b)(mx2 mx3)) u@b 1", &["smtp", "((mx1.b)(mx2 mx3))", "u@b", "1"]),
            ("a(b c", &["a(b", "c"]),
            ("\"open to the end", &["\"open to the end"]),
            ("", &[]),
        ] {
            assert_eq!(all(line.as_bytes()), words, "{line}");
        }
    }

    #[test]
    fn a_list_is_flat_for_us() {
        assert_eq!(hosts("((mx1.b)(mx2 mx3))"), ["mx1.b", "mx2", "mx3"]);
        assert_eq!(hosts("b.test"), ["b.test"]);
    }

    proptest! {
        #[test]
        fn any_octets_are_split_and_none_is_lost(line in proptest::collection::vec(any::<u8>(), 0..40)) {
            let (word, rest) = split(&line);
            prop_assert!(line.ends_with(&[word, rest].concat()));
            let blanks = line.len() - word.len() - rest.len();
            prop_assert!(line[..blanks].iter().all(|octet| is_blank(*octet)));
        }
    }
}
