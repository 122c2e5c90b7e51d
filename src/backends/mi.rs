//! gdb/MI output ("GDB/MI Output Syntax" in gdb's manual): records as data. Anything that does not read as the grammar says is
//! left out rather than guessed.

use std::collections::BTreeMap;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// `{name=value,...}`. A name that comes twice keeps its values in a list.
    Tuple(Tuple),
    /// `[value,...]` or `[name=value,...]`, without the names.
    List(Vec<Value>),
}

/// Named values.
pub type Tuple = BTreeMap<String, Value>;

impl Value {
    /// The string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The tuple.
    pub fn tuple(&self) -> Option<&Tuple> {
        match self {
            Value::Tuple(tuple) => Some(tuple),
            _ => None,
        }
    }

    /// The elements.
    pub fn list(&self) -> &[Value] {
        match self {
            Value::List(list) => list,
            _ => &[],
        }
    }
}

/// A line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// `TOKEN^class,...`: the result of a command.
    Result {
        /// The number that the command carried.
        token: Option<u64>,
        /// `done`, `running`, `error`, ...
        class: String,
        /// What came with it.
        results: Tuple,
    },
    /// `*class,...`, `=class,...` or `+class,...`: something happened.
    Async {
        /// `*`, `=` or `+`.
        kind: char,
        /// `stopped`, `running`, `thread-created`, ...
        class: String,
        /// What came with it.
        results: Tuple,
    },
    /// `~"text"`: what the console would have shown.
    Console(String),
    /// `&"text"` or `@"text"`.
    Log(String),
}

/// A string as MI commands take it.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// All records of a text.
pub fn records(text: &str) -> impl Iterator<Item = Record> + '_ {
    text.lines().filter_map(record)
}

/// Reads one line.
pub fn record(line: &str) -> Option<Record> {
    let line = line.trim_end_matches(['\r', '\n']);
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let token = line[..digits].parse().ok();
    let rest = &line[digits..];
    let kind = rest.chars().next()?;
    let body = &rest[kind.len_utf8()..];
    match kind {
        '~' => Reader::new(body).string().map(Record::Console),
        '&' | '@' => Reader::new(body).string().map(Record::Log),
        '^' | '*' | '=' | '+' => {
            let end = body.find(',').unwrap_or(body.len());
            let class = body[..end].to_owned();
            let results =
                if end == body.len() { Some(Tuple::new()) } else { Reader::new(&body[end + 1..]).results(None, 0) };
            Some(match (kind, results) {
                ('^', Some(results)) => Record::Result { token, class, results },
                (_, Some(results)) => Record::Async { kind, class, results },
                // It is waited for.
                ('^', None) => {
                    let why = Value::Text(format!("the debugger's answer does not read as its manual says: {line}"));
                    Record::Result { token, class: "error".to_owned(), results: Tuple::from([("msg".to_owned(), why)]) }
                }
                (_, None) => return None,
            })
        }
        _ => None,
    }
}

/// How deep values may be nested: more than any gdb prints.
const DEEPEST: u32 = 64;

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Reader { text: text.as_bytes(), at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut bytes = Vec::new();
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(String::from_utf8_lossy(&bytes).into_owned()),
                b'\\' => {
                    let escaped = self.peek()?;
                    self.at += 1;
                    bytes.push(match escaped {
                        b'n' => b'\n',
                        b't' => b'\t',
                        b'r' => b'\r',
                        b'a' => 7,
                        b'b' => 8,
                        b'f' => 12,
                        b'v' => 11,
                        b'e' => 27,
                        b'0'..=b'7' => {
                            let mut code = u32::from(escaped - b'0');
                            for _ in 0..2 {
                                let Some(digit @ b'0'..=b'7') = self.peek() else { break };
                                code = code * 8 + u32::from(digit - b'0');
                                self.at += 1;
                            }
                            u8::try_from(code & 0xff).unwrap_or(b'?')
                        }
                        other => other,
                    });
                }
                _ => bytes.push(byte),
            }
        }
    }

    fn name(&mut self) -> Option<String> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte != b'=' && byte != b'"' && byte != b'{' && byte != b'[') {
            self.at += 1;
        }
        let name = std::str::from_utf8(&self.text[start..self.at]).ok()?;
        self.take(b'=')?;
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn value(&mut self, depth: u32) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        match self.peek()? {
            b'"' => self.string().map(Value::Text),
            b'{' => {
                self.at += 1;
                self.results(Some(b'}'), depth + 1).map(Value::Tuple)
            }
            b'[' => {
                self.at += 1;
                let mut list = Vec::new();
                while self.peek()? != b']' {
                    if !list.is_empty() {
                        self.take(b',')?;
                    }
                    if !matches!(self.peek()?, b'"' | b'{' | b'[') {
                        self.name()?;
                    }
                    list.push(self.value(depth + 1)?);
                }
                self.at += 1;
                Some(Value::List(list))
            }
            _ => None,
        }
    }

    /// Up to `end`, or the end of the text.
    fn results(&mut self, end: Option<u8>, depth: u32) -> Option<Tuple> {
        let mut tuple = Tuple::new();
        loop {
            if self.peek() == end {
                self.at += 1;
                return Some(tuple);
            }
            if !tuple.is_empty() {
                self.take(b',')?;
            }
            // Up to gdb 13 the locations of a breakpoint are nameless tuples behind it, and its commands a tuple of nameless strings.
            if matches!(self.peek()?, b'{' | b'"') {
                let value = self.value(depth)?;
                add(&mut tuple, "", value);
                continue;
            }
            let name = self.name()?;
            let value = self.value(depth)?;
            add(&mut tuple, &name, value);
        }
    }
}

fn add(tuple: &mut Tuple, name: &str, value: Value) {
    match tuple.remove(name) {
        None => {
            tuple.insert(name.to_owned(), value);
        }
        Some(Value::List(mut list)) if name.is_empty() => {
            list.push(value);
            tuple.insert(String::new(), Value::List(list));
        }
        Some(first) => {
            tuple.insert(name.to_owned(), Value::List(vec![first, value]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_reads_as_data() {
        let line = r#"*stopped,reason="breakpoint-hit",bkptno="1",frame={addr="0x1180",func="insert",args=[{name="v",value="0"}],file="t.c",line="6"},thread-id="1",stopped-threads="all""#;
        let Some(Record::Async { kind: '*', class, results }) = record(line) else { panic!("no record") };
        assert_eq!(class, "stopped");
        let frame = results["frame"].tuple().unwrap();
        assert_eq!(frame["line"].text(), Some("6"));
        assert_eq!(frame["args"].list()[0].tuple().unwrap()["name"].text(), Some("v"));
    }

    #[test]
    fn results_carry_their_token_and_strings_their_escapes() {
        let Some(Record::Result { token, class, results }) = record("12^done,value=\"a\\\"b\\n\\303\\251\"\r\n") else {
            panic!("no record")
        };
        assert_eq!((token, class.as_str()), (Some(12), "done"));
        assert_eq!(results["value"].text(), Some("a\"b\né"));
        assert_eq!(record("~\"1: v = 0\\n\""), Some(Record::Console("1: v = 0\n".into())));
        assert_eq!(record("(gdb) "), None);
    }

    #[test]
    fn locations_of_a_breakpoint_are_kept() {
        let line = r#"^done,BreakpointTable={body=[bkpt={number="1",addr="<MULTIPLE>"},{number="1.1",addr="0x1"},{number="1.2",addr="0x2"}]}"#;
        let Some(Record::Result { results, .. }) = record(line) else { panic!("no record") };
        let body = results["BreakpointTable"].tuple().unwrap()["body"].list();
        assert_eq!(body.len(), 3);
        assert_eq!(body[2].tuple().unwrap()["number"].text(), Some("1.2"));
    }

    #[test]
    fn commands_of_a_breakpoint_are_kept() {
        for script in [r#"{"silent","print x"}"#, r#"["silent","print x"]"#] {
            let line = format!(r#"^done,bkpt={{number="1",script={script},times="0"}}"#);
            let Some(Record::Result { results, .. }) = record(&line) else { panic!("no record") };
            let row = results["bkpt"].tuple().unwrap();
            assert_eq!(row["times"].text(), Some("0"));
            let nameless = |value: &Value| value.tuple().and_then(|tuple| tuple.get("")).cloned();
            let lines = nameless(&row["script"]).unwrap_or_else(|| row["script"].clone());
            assert_eq!(lines.list().iter().filter_map(Value::text).collect::<Vec<_>>(), ["silent", "print x"]);
        }
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_a_refusal() {
        let Some(Record::Result { token: Some(7), class, .. }) = record("7^done,x={\"a\"=}") else {
            panic!("no record")
        };
        assert_eq!(class, "error");
        assert_eq!(record("*stopped,x={\"a\"=}"), None);
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(line in "[0-9]{0,3}[~&@^*=+]?[a-z\\-]{0,8},?[a-z=\"{}\\[\\],\\\\0-9é]{0,60}") {
            let _ = record(&line);
        }
    }
}
