//! The README's key table is the program's.

use std::path::Path;

use epochtop::config::Keys;
use epochtop::tui::{Action, Keymap};

/// A row for each action, as the README has it.
fn table() -> String {
    let keymap = Keymap::from_config(&Keys::default()).unwrap();
    let rows = Action::all().map(|action| {
        let keys: Vec<String> = keymap.keys(action).map(|key| format!("`{key}`")).collect();
        format!(
            "| {} | {} | {} |\n",
            keys.join(" "),
            action.name(),
            action.doc()
        )
    });
    format!(
        "| key | action | does |\n| --- | --- | --- |\n{}",
        rows.collect::<String>()
    )
}

#[test]
fn the_key_table_is_what_the_program_does() {
    let readme =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let shown = readme
        .split("<!-- keys -->\n")
        .nth(1)
        .and_then(|rest| rest.split("<!-- /keys -->").next());
    assert_eq!(
        shown,
        Some(table().as_str()),
        "put this between the marks in README.md:\n\n{}",
        table()
    );
}
