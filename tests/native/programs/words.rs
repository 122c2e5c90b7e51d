//! A table of words that forgets one: what it counts and what it lists disagree.
use std::collections::HashMap;

#[derive(Debug, Default)]
struct Table {
    counts: HashMap<String, usize>,
    order: Vec<String>,
    total: usize,
}

impl Table {
    fn add(&mut self, word: &str) {
        let count = self.counts.entry(word.to_owned()).or_insert(0);
        *count += 1;
        if *count == 1 {
            self.order.push(word.to_owned());
        }
        self.total += 1;
        if word.len() == 7 {
            self.total += 1;
        }
    }
}

fn check(table: &Table) -> Result<(), String> {
    let counted: usize = table.order.iter().map(|word| table.counts[word]).sum();
    if counted == table.total { Ok(()) } else { Err(format!("{counted} words, not {}", table.total)) }
}

fn main() {
    let text = "it was the best of times it was the worst of times it was the age of wisdom it was the age of foolery \
                it was the epoch of belief it was the season of light";
    let mut table = Table::default();
    for word in text.split_whitespace() {
        table.add(word);
    }
    println!("{} different words", table.order.len());
    check(&table).expect("the table agrees with itself");
}
