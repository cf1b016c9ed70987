//! Where the story is shown. What was shown is kept, to be searched for secrets.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

pub(crate) struct Screen {
    coloured: bool,
    shown: String,
}

#[derive(Clone, Copy)]
pub(crate) enum Paint {
    Plain,
    Strong,
    Good,
    Bad,
    Faint,
}

impl Screen {
    /// Standard output, coloured on a terminal unless NO_COLOR is set.
    pub(crate) fn stdout() -> Screen {
        let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Screen {
            coloured: io::stdout().is_terminal() && !no_colour && !dumb,
            shown: String::new(),
        }
    }

    pub(crate) fn line(&mut self, paint: Paint, text: &str) {
        self.shown.push_str(text);
        self.shown.push('\n');
        let code = match paint {
            Paint::Plain => "",
            Paint::Strong => "1",
            Paint::Good => "32",
            Paint::Bad => "31",
            Paint::Faint => "2",
        };
        let mut stdout = io::stdout().lock();
        // A reader that has gone away does not end the story: its exit code still counts.
        let _ = if self.coloured && !code.is_empty() {
            writeln!(stdout, "\x1b[{code}m{text}\x1b[0m")
        } else {
            writeln!(stdout, "{text}")
        };
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }
}
