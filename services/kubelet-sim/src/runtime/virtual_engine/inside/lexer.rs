//! A shell script as words, operators and redirections.

use std::sync::Arc;

use super::program::Program;

/// A piece of a script.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Word(Word),
    /// `;` or a new line
    Then,
    /// `&&`
    And,
    /// `||`
    Or,
    Redirect(Redirect),
}

/// Where output goes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Redirect {
    /// 1 is what is printed, 2 what is complained.
    pub(super) from: u8,
    pub(super) to: Destination,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Destination {
    File {
        path: Word,
        append: bool,
    },
    /// `>&1` or `>&2`
    Stream(u8),
}

/// A word, before its variables have values.
#[derive(Clone, Debug, PartialEq, Default)]
pub(super) struct Word {
    pub(super) parts: Vec<Part>,
    /// Any of it is in quotes: the word stays one word, even an empty one.
    pub(super) quoted: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Text(String),
    /// `$NAME` or `${NAME}`
    Variable(String),
    /// `$(command)` or a command in backticks
    Command(Arc<Program>),
    /// `$((expression))`
    Arithmetic(String),
}

impl Word {
    /// The word if it is the same whatever happens.
    pub(super) fn fixed(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// A word of the shell's own language, which quotes would make an ordinary one.
    pub(super) fn keyword(&self) -> Option<&str> {
        self.fixed().filter(|_| !self.quoted)
    }

    fn push(&mut self, c: char) {
        if let Some(Part::Text(text)) = self.parts.last_mut() {
            text.push(c);
        } else {
            self.parts.push(Part::Text(c.to_string()));
        }
    }
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Self { parts: vec![Part::Text(text.to_owned())], quoted: true }
    }
}

/// Splits a script. `None` if it needs a real shell: pipes, jobs in the background, subshells, patterns of files.
pub(super) fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, found: Vec::new(), word: None };
    lexer.run()?;
    Some(lexer.found)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    found: Vec<Token>,
    word: Option<Word>,
}

impl Lexer {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn next_if(&mut self, wanted: char) -> bool {
        let there = self.peek() == Some(wanted);
        self.at += usize::from(there);
        there
    }

    fn word(&mut self) -> &mut Word {
        self.word.get_or_insert_with(Word::default)
    }

    fn finish_word(&mut self) {
        if let Some(word) = self.word.take() {
            self.found.push(Token::Word(word));
        }
    }

    fn operator(&mut self, token: Token) {
        self.finish_word();
        self.found.push(token);
    }

    fn run(&mut self) -> Option<()> {
        while let Some(c) = self.next() {
            match c {
                '\n' | ';' if c == '\n' || self.peek() != Some(';') => self.operator(Token::Then),
                ' ' | '\t' | '\r' => self.finish_word(),
                '#' if self.word.is_none() => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                '\'' => {
                    self.word().quoted = true;
                    loop {
                        match self.next()? {
                            '\'' => break,
                            c => self.word().push(c),
                        }
                    }
                }
                '"' => self.double_quoted()?,
                '\\' => match self.next()? {
                    '\n' => {}
                    c => {
                        self.word().quoted = true;
                        self.word().push(c);
                    }
                },
                '$' => self.dollar()?,
                '`' => self.backticks()?,
                '&' if self.next_if('&') => self.operator(Token::And),
                '|' if self.next_if('|') => self.operator(Token::Or),
                '>' => self.redirect()?,
                '&' | '|' | '<' | '(' | ')' | '*' | ';' => return None,
                c => self.word().push(c),
            }
        }
        self.finish_word();
        Some(())
    }

    fn double_quoted(&mut self) -> Option<()> {
        self.word().quoted = true;
        loop {
            match self.next()? {
                '"' => return Some(()),
                '\\' => match self.next()? {
                    '\n' => {}
                    c @ ('"' | '\\' | '$' | '`') => self.word().push(c),
                    c => {
                        self.word().push('\\');
                        self.word().push(c);
                    }
                },
                '$' => self.dollar()?,
                '`' => self.backticks()?,
                c => self.word().push(c),
            }
        }
    }

    fn dollar(&mut self) -> Option<()> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let part = match self.peek() {
            Some('(') => {
                let inner = self.parenthesized()?;
                match inner.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
                    Some(expression) => Part::Arithmetic(expression.to_owned()),
                    None => Part::Command(Arc::new(Program::script(&inner)?)),
                }
            }
            Some('{') => {
                let end = self.chars[self.at..].iter().position(|c| *c == '}')? + self.at;
                let name: String = self.chars[self.at + 1..end].iter().collect();
                self.at = end + 1;
                if name.is_empty() || !name.chars().all(is_name) {
                    return None;
                }
                Part::Variable(name)
            }
            Some('?' | '#' | '$' | '!' | '0'..='9' | '@' | '*') => {
                let c = self.next()?;
                if c != '?' {
                    return None;
                }
                Part::Variable("?".to_owned())
            }
            Some(c) if is_name(c) => {
                let mut name = String::new();
                while let Some(c) = self.peek().filter(|c| is_name(*c)) {
                    name.push(c);
                    self.at += 1;
                }
                Part::Variable(name)
            }
            _ => {
                self.word().push('$');
                return Some(());
            }
        };
        self.word().parts.push(part);
        Some(())
    }

    /// What stands between the parenthesis here and its partner.
    fn parenthesized(&mut self) -> Option<String> {
        let start = self.at + 1;
        let mut depth = 0;
        loop {
            match self.next()? {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(self.chars[start..self.at - 1].iter().collect());
            }
        }
    }

    fn backticks(&mut self) -> Option<()> {
        let end = self.chars[self.at..].iter().position(|c| *c == '`')? + self.at;
        let inner: String = self.chars[self.at..end].iter().collect();
        self.at = end + 1;
        let program = Program::script(&inner)?;
        self.word().parts.push(Part::Command(Arc::new(program)));
        Some(())
    }

    fn redirect(&mut self) -> Option<()> {
        // A number that touches the sign says which stream.
        let from = match self.word.as_ref().and_then(Word::keyword) {
            Some("1") => 1,
            Some("2") => 2,
            _ => {
                self.finish_word();
                1
            }
        };
        self.word = None;
        let append = self.next_if('>');
        if self.next_if('&') {
            let to = self.next()?.to_digit(10).and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=2).contains(n))?;
            self.found.push(Token::Redirect(Redirect { from, to: Destination::Stream(to) }));
            return Some(());
        }
        // The next word is the path; the parser joins them.
        let to = Destination::File { path: Word::default(), append };
        self.found.push(Token::Redirect(Redirect { from, to }));
        Some(())
    }
}
