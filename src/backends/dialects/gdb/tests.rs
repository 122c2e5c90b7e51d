use super::*;

#[test]
fn commands_do_what_gdb_does_with_their_abbreviations() {
    use Effect::{Configures, Moves, Mutates, Queries};
    let effects = [
        ("n", Moves),
        ("cont", Moves),
        ("u 12", Moves),
        ("b main", Configures),
        ("p x", Queries),
        ("p x == 3", Queries),
        ("p/x list[2]", Queries),
        ("p f(3)", Mutates),
        ("p x = 3", Mutates),
        ("print (x + 1) * 2", Queries),
        ("set var x = 1", Mutates),
        ("set x = 1", Mutates),
        ("set print pretty on", Configures),
        ("set confirm off", Configures),
        ("set $i = 1", Configures),
        ("set $rax = 1", Mutates),
        ("info locals", Queries),
        ("thread apply all bt", Queries),
        ("thread 2", Configures),
        ("bt", Queries),
        ("mycommand", Mutates),
        ("# a remark", Queries),
        ("x/4i $pc", Queries),
        ("display v", Configures),
        ("pipe p f(3) | cat", Mutates),
        ("return", Mutates),
    ];
    for (line, effect) in effects {
        assert_eq!(effect_of(line), effect, "{line}");
    }
}

#[test]
fn what_would_take_hold_of_a_process_is_left_to_us() {
    let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
    let found = read_command_line(&words("-q -p 123 -ex run"));
    assert_eq!((found.attach, found.arguments), (Some("123".into()), words("-q -ex run")));
    let found = read_command_line(&words("-nx --args /bin/true -p 7 a b"));
    assert_eq!((found.program, found.attach), (Some("/usr/bin/true".into()), None));
    assert_eq!(read_command_line(&words("/bin/true 99999999")).attach, Some("99999999".into()));
}

#[test]
fn only_gdb_is_gdb() {
    for name in ["gdb", "gdb-13", "gdb-multiarch", "rust-gdb", "gdb13.2"] {
        assert!(serves(name), "{name}");
    }
    assert!(!serves("gdbserver") && !serves("cgdb") && !serves("gdbtui"));
}

#[test]
fn enter_repeats_movements_in_words() {
    let mut gdb = Gdb::default();
    gdb.read_line("next", PromptKind::Command);
    let again = gdb.read_line("", PromptKind::Command);
    assert_eq!((again.effect, again.send.as_str()), (Effect::Moves, "next"));
    gdb.read_line("break 3", PromptKind::Command);
    assert_eq!(gdb.read_line("", PromptKind::Command).effect, Effect::Queries);
}
