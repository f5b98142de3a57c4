use super::*;
use proptest::prelude::*;

/// The example of the interface's description, octet for octet.
const EXAMPLE: &str = "@ 0x00000007\n\
    i 4711-88\n\
    o 212\n\
    l <m1@a.test>\n\
    e ann@a.test\n\
    s smtp a.test ann@a.test 65534\n\
    r           smtp b.test bob@b.test 65534\n\
    N NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@b.test\n\
    r           smtp b.test eve@b.test 65534\n\
    m\n\
    Received: from a.test ...\n\
    From: <ann@a.test>\n\
    \n";

fn good(text: &str) -> ControlFile<'_> {
    parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn users<'a>(file: &ControlFile<'a>) -> Vec<&'a str> {
    file.recipients.iter().map(|entry| std::str::from_utf8(entry.place.user).expect("UTF-8")).collect()
}

#[test]
fn the_example_has_the_offsets_that_it_is_described_with() {
    let file = good(EXAMPLE);
    assert_eq!((file.spool, file.body, file.ident), (&b"4711-88"[..], 212, &b"<m1@a.test>"[..]));
    assert_eq!((file.lock_width, file.verbose, file.is_turn), (7, None, false));
    assert_eq!(file.recipients.iter().map(|entry| entry.offset).collect::<Vec<_>>(), [87, 175]);
    assert_eq!(file.recipients[0].dsn, Some((128, &b"NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@b.test"[..])));
    assert_eq!(file.recipients[1].dsn, None);
    assert_eq!((file.headers.len(), file.headers[0].clone()), (1, 218..263));
    assert_eq!(&EXAMPLE[218..263], "Received: from a.test ...\nFrom: <ann@a.test>\n");
    let place = Place { channel: b"smtp", host: b"a.test", user: b"ann@a.test" };
    assert_eq!(file.senders, [place]);
    for entry in &file.recipients {
        assert_eq!((entry.state, entry.sender, entry.headers), (State::Waiting, Some(0), Some(0)));
        assert_eq!((entry.place.channel, entry.place.host), (&b"smtp"[..], &b"b.test"[..]));
    }
    assert_eq!(users(&file), ["bob@b.test", "eve@b.test"]);
}

#[test]
fn groups_have_their_own_sender_and_headers() {
    let file = good(
        "@ 0x00000007\ni 1-1\no 5\nv ../public/v1\nx <old@a>\nb alt\nX 1\n\
         s smtp a.test ann@a.test\nr           smtp b.test one@b 1\nR HDRS\nn E1\nm\nA: 1\n\nM\nx\ny\n\n\
         s error - ann@a.test 1\nr           smtp b.test two@b 1\nr           local - three 1\nm\n\n\
         d 87:218:-1::1700000000\tx\ty\nr           smtp b.test four@b 1\n",
    );
    assert_eq!(users(&file), ["one@b", "two@b", "three", "four@b"]);
    let indices: Vec<_> = file.recipients.iter().map(|entry| (entry.sender, entry.headers)).collect();
    assert_eq!(indices, [(Some(0), Some(0)), (Some(1), Some(1)), (Some(1), Some(1)), (Some(1), None)]);
    assert_eq!((file.recipients[0].ret, file.recipients[0].envelope_id), (&b"HDRS"[..], &b"E1"[..]));
    assert_eq!(file.headers[1].len(), 0);
    assert_eq!((file.verbose, file.senders[1].channel), (Some(&b"../public/v1"[..]), &b"error"[..]));
}

#[test]
fn both_layouts_of_a_recipient_and_all_its_states() {
    for (flags, line, width, user, state) in [
        ("@ 0x00000007\n", "r           smtp b u 1", 7, "u", State::Waiting),
        ("@ 0x00000007\n", "r~  5150    smtp b u 1", 7, "u", State::Locked),
        ("@ 0x00000003\n", "r+       120smtp b u 1", 7, "u", State::Done),
        ("@ 0x00000001\n", "r-       120smtp b u 1", 7, "u", State::Done),
        ("@ 0x00000001\n", "r       smtp b u 1", 7, "u", State::Waiting),
        ("@ 0x00000000\n", "r smtp b u 1", 1, "u", State::Waiting),
        ("", "r smtp b \"u v\"@b 1", 1, "\"u v\"@b", State::Waiting),
        ("", "r?smtp b u 1", 1, "u", State::Done),
    ] {
        let text = format!("{flags}i 1-1\no 5\n{line}\nm\n\n");
        let file = good(&text);
        assert_eq!((file.lock_width, file.recipients[0].state), (width, state), "{line}");
        assert_eq!((users(&file), file.recipients[0].place.host), (vec![user], &b"b"[..]), "{line}");
    }
}

#[test]
fn a_file_that_cannot_be_trusted_is_refused_as_a_whole() {
    for (text, says) in [
        ("@ 0x00000008\ni 1\no 5\n", "its layout flags 0x8 are not known here (offset 0)"),
        ("@ +7\ni 1\no 5\n", "the line \"@\" at offset 0 cannot be read: not a number in hexadecimal"),
        ("o 5\n", "it has no line \"i\""),
        ("i 1\n", "it has no line \"o\""),
        ("i 1\no -5\n", "the line \"o\" at offset 4 cannot be read: not a number"),
        (
            "i 1\no 5\nr smtp b u\n@ 7\n",
            "the line \"@\" at offset 19 cannot be read: recipients come before it, whose layout it would change",
        ),
        (
            "i 1\no 5\nm\nA: b\n",
            "the line \"m\" at offset 8 cannot be read: the file ends before the empty line behind it",
        ),
        (
            "i 1\no 5\nM\nA: b\n",
            "the line \"M\" at offset 8 cannot be read: the file ends before the empty line behind it",
        ),
    ] {
        assert_eq!(parse(text.as_bytes()).expect_err(text).to_string(), says);
    }
    let many = format!("i 1\no 5\n{}", "r a b c\n".repeat(MAX_RECIPIENTS + 1));
    assert_eq!(parse(many.as_bytes()), Err(ControlError::TooMany));
    assert_eq!(parse(&vec![b'\n'; MAX_FILE as usize + 1]), Err(ControlError::TooLarge));
}

#[test]
fn a_recipient_that_cannot_be_read_is_left_out_with_what_belongs_to_it() {
    let file = good(
        "@ 7\ni 1\no 5\nr           smtp b one 1\nN NOTIFY=FAILURE\nr           smtp b\nN NOTIFY=NEVER\nR FULL\n\
         r  \nr\nr           smtp b two 1\nn E1\nm\n\n",
    );
    assert_eq!(users(&file), ["one", "two"]);
    assert_eq!(file.recipients[0].dsn.map(|(_, value)| value), Some(&b"NOTIFY=FAILURE"[..]));
    assert_eq!((file.recipients[0].ret, file.recipients[1].envelope_id), (&b""[..], &b"E1"[..]));
    assert!(file.recipients.iter().all(|entry| entry.headers == Some(0)));
    let why: Vec<String> = file.left_out.iter().map(ToString::to_string).collect();
    let of = |offset: usize, why: &str| format!("the line \"r\" at offset {offset} cannot be read: {why}");
    let expected = [
        of(54, "channel, host and user are not all there"),
        of(95, "it is too short for its fields"),
        of(99, "it has no state"),
    ];
    assert_eq!(why, expected);
    let many = format!("i 1\no 5\n{}", "r\n".repeat(100));
    assert_eq!(good(&many).left_out.len(), MAX_LEFT_OUT);
}

#[test]
fn a_request_of_etrn_needs_little() {
    assert!(good("@ 0x00000007\nT b.test\n").is_turn);
}

#[test]
fn a_last_line_without_its_end_is_passed_over() {
    assert_eq!(users(&good("i 1\no 5\nr a b c 1\nr a b d")), ["c"]);
}

/// What the file says holds for any octets: nothing points outside, and marks are made where an `r` stands.
fn is_sound(octets: &[u8]) -> Result<(), TestCaseError> {
    let Ok(file) = parse(octets) else { return Ok(()) };
    for entry in &file.recipients {
        prop_assert_eq!(octets[entry.offset], b'r');
        prop_assert!(entry.offset == 0 || octets[entry.offset - 1] == b'\n');
        prop_assert!(entry.sender.is_none_or(|index| index < file.senders.len()));
        prop_assert!(entry.headers.is_none_or(|index| index < file.headers.len()));
        let line = octets[entry.offset..].split(|octet| *octet == b'\n').next().expect("one at least");
        prop_assert!(line.len() > file.lock_width, "a lock stays on its line");
        prop_assert!(entry.dsn.is_none_or(|(offset, _)| octets[offset] == b'N'));
    }
    for headers in &file.headers {
        prop_assert!(octets[headers.clone()].is_empty() || octets[headers.end - 1] == b'\n');
        prop_assert_eq!(octets.get(headers.end), Some(&b'\n'));
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        is_sound(&octets)?;
    }

    #[test]
    fn any_lines_are_read_or_refused(lines in proptest::collection::vec(
        "[@violexTbXsrNRnmMd]?[ ~+-]?[0-9 ]{0,10}([a-z(]{0,3}|\"| |\\\\|0x7){0,6}\n", 0..20))
    {
        is_sound(["i 1-1\no 5\n", &lines.concat()].concat().as_bytes())?;
        is_sound(lines.concat().as_bytes())?;
    }

    #[test]
    fn lines_of_either_layout_in_any_order_are_read_or_refused(lines in proptest::collection::vec(prop_oneof![
        Just("@ 0x00000007\n"), Just("@ 0\n"), Just("r smtp b u\n"), Just("r           smtp b u 1\n"), Just("r a\n"),
        Just("s smtp a u\n"), Just("N NOTIFY=NEVER\n"), Just("m\nA: b\n\n")], 0..8))
    {
        is_sound(["i 1-1\no 5\n", &lines.concat()].concat().as_bytes())?;
    }

    #[test]
    fn a_good_file_with_octets_changed_cut_or_doubled(
        changes in proptest::collection::vec((0usize..EXAMPLE.len(), any::<u8>()), 0..6),
        cut in 0usize..EXAMPLE.len(),
        again in any::<bool>())
    {
        let mut octets = EXAMPLE.as_bytes().to_vec();
        changes.iter().for_each(|(at, octet)| octets[*at] = *octet);
        is_sound(&octets)?;
        is_sound(&octets[..cut])?;
        if again {
            is_sound(&[&octets[..cut], &octets[..]].concat())?;
        }
    }
}
