//! What themes promise: letters that can be read, and meanings that are told apart with any eyes and without colours; and
//! that a ground which is declared is painted everywhere.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use epochtop::tui::{ColorDepth, Msg, Role, Theme, themes, update};
use ratatui::style::{Color, Modifier};

use crate::colour::{Eyes, contrast, distance, fixed};
use crate::screens::{app as screen_of, drawn};
use crate::story;

/// Roles that carry no letters: what they say is also said by what stands on or beside them.
const DECORATIONS: [(Role, &str); 6] = [
    (
        Role::Faint,
        "guides, axes, and dashes where there is nothing to tell",
    ),
    (
        Role::Rule,
        "a line above a pane; its title has a role of its own",
    ),
    (
        Role::RuleFocus,
        "the same; the focused title has a mark and a role of its own",
    ),
    (
        Role::TrainBand,
        "the spread behind a curve that is drawn over it",
    ),
    (Role::GradientBand, "the same"),
    (
        Role::GaugeRest,
        "what a gauge has not reached yet; the share stands beside it",
    ),
];

/// Roles with a ground of their own: all others stand on the screen's, or on a popup's.
const OWN_GROUND: [Role; 7] = [
    Role::Screen,
    Role::Heat1,
    Role::Heat2,
    Role::Heat3,
    Role::Heat4,
    Role::Selected,
    Role::Popup,
];

fn decoration(role: Role) -> bool {
    DECORATIONS.iter().any(|(known, _)| *known == role)
}

/// The ground a theme declares; else the one it is meant for.
fn ground(theme: &Theme) -> [u8; 3] {
    let declared = theme.style(Role::Screen).bg.and_then(fixed);
    declared.unwrap_or(if theme.is_dark() { [0; 3] } else { [255; 3] })
}

fn declares_ground(theme: &Theme) -> bool {
    theme.style(Role::Screen).bg.and_then(fixed).is_some()
}

/// Letters and their ground; none where the terminal's own colours are used.
fn pair(theme: &Theme, role: Role, ground: [u8; 3]) -> Option<([u8; 3], [u8; 3])> {
    let style = theme.style(role);
    let text = theme.style(Role::Text).fg;
    let fg = style.fg.and_then(fixed).or(text.and_then(fixed))?;
    Some((fg, style.bg.and_then(fixed).unwrap_or(ground)))
}

/// Every theme with colours, in all of them and in the 256 most terminals have.
fn coloured() -> Vec<(String, Theme)> {
    let all = themes().into_iter().filter(|(name, _)| name != "mono");
    all.flat_map(|(name, theme)| {
        let fewer = theme.reduced(ColorDepth::Ansi256);
        [(format!("{name} in 256 colours"), fewer), (name, theme)]
    })
    .collect()
}

#[test]
fn letters_can_be_read_on_their_ground() {
    let mut wrong = Vec::new();
    for (name, theme) in coloured() {
        // WCAG 2.2, success criteria 1.4.6 and 1.4.3.
        let strict = name.starts_with("high-contrast");
        let least = if strict { 7.0 } else { 4.5 };
        let popup = theme.style(Role::Popup).bg.and_then(fixed);
        for role in Role::ALL.iter().copied() {
            let least = match (decoration(role), declares_ground(&theme)) {
                (false, _) => least,
                (true, true) => 3.0, // 1.4.11, what is no text
                // On a ground it does not know, a theme leaves its guides faint.
                (true, false) => continue,
            };
            let mut grounds = vec![("screen", ground(&theme))];
            // Of the decorations only its frame is on a popup.
            if !OWN_GROUND.contains(&role) && (!decoration(role) || role == Role::RuleFocus) {
                grounds.extend(popup.map(|popup| ("popup", popup)));
            }
            for (place, ground) in grounds {
                let Some((fg, bg)) = pair(&theme, role, ground) else {
                    panic!("{name}: {} has no colour that is known", role.name());
                };
                let found = contrast(fg, bg);
                if found < least {
                    wrong.push(format!(
                        "{name}: {} on {place}: {found:.2}, must be {least}",
                        role.name()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_what_is_said_to_has_a_ground_of_its_own() {
    // A popup lays its ground under everything in it, which would take another role's ground away.
    for (name, theme) in themes() {
        for role in Role::ALL {
            let own = theme.style(*role).bg.is_some();
            assert!(!own || OWN_GROUND.contains(role), "{name}: {}", role.name());
        }
    }
}

#[test]
fn two_themes_declare_their_ground() {
    let declared = themes()
        .into_iter()
        .filter(|(_, theme)| declares_ground(theme));
    let names: Vec<String> = declared.map(|(name, _)| name).collect();
    assert_eq!(names, ["high-contrast", "colour-blind"]);
}

#[test]
fn colour_blind_eyes_tell_apart_what_matters() {
    // A difference of 2.3 is just noticed between large patches (Mahy, Van Eycken and Oosterlinck 1994). Thin lines and
    // single letters want several times that: 20 is almost nine times. A cell of the heat map is a patch with a number in
    // it, and 15 will do.
    const LETTERS: f64 = 20.0;
    const PATCHES: f64 = 15.0;
    let letters = [
        (Role::Train, Role::Valid),
        (Role::Train, Role::TrainBand),
        (Role::Gradient, Role::GradientBand),
        (Role::Gradient, Role::Clip),
        (Role::Good, Role::Bad),
        (Role::Warn, Role::Error),
        (Role::Warn, Role::Good),
        (Role::Bar, Role::BarWorst),
        (Role::Gauge, Role::GaugeRest),
        (Role::Train, Role::RunB),
        (Role::RunB, Role::RunC),
        (Role::RunC, Role::RunD),
        (Role::RunD, Role::RunE),
    ];
    let grounds = [
        (Role::Screen, Role::Heat1),
        (Role::Heat1, Role::Heat2),
        (Role::Heat2, Role::Heat3),
        (Role::Heat3, Role::Heat4),
    ];
    let theme = Theme::load("colour-blind").unwrap();
    for theme in [theme.reduced(ColorDepth::Ansi256), theme] {
        let letter = |role| theme.style(role).fg.and_then(fixed).unwrap();
        let ground = |role| theme.style(role).bg.and_then(fixed).unwrap();
        let letters = letters.map(|(a, b)| (a, b, letter(a), letter(b), LETTERS));
        let grounds = grounds.map(|(a, b)| (a, b, ground(a), ground(b), PATCHES));
        for (a, b, one, other, least) in letters.into_iter().chain(grounds) {
            for eyes in Eyes::ALL {
                let found = distance(one, other, eyes);
                assert!(
                    found >= least,
                    "{eyes:?}: {} and {}: {found:.1}",
                    a.name(),
                    b.name()
                );
            }
        }
    }
}

#[test]
fn mistakes_grow_lighter_or_darker_but_never_turn_back() {
    // Where hues are lost, lightness is left: the order of the four shares must be seen in it.
    for (name, theme) in coloured() {
        let heat = [Role::Heat1, Role::Heat2, Role::Heat3, Role::Heat4];
        let from_ground = heat.map(|role| {
            let bg = theme.style(role).bg.and_then(fixed).unwrap();
            contrast(bg, ground(&theme))
        });
        assert!(
            from_ground.windows(2).all(|pair| pair[0] < pair[1]),
            "{name}: {from_ground:?}"
        );
    }
}

#[test]
fn mono_tells_apart_by_modifiers_what_others_tell_by_colour() {
    let theme = Theme::load("mono").unwrap();
    let modifiers = |role: Role| theme.style(role).add_modifier;
    for (a, b) in [
        (Role::Train, Role::Valid),
        (Role::Train, Role::TrainBand),
        (Role::Gradient, Role::GradientBand),
        (Role::Good, Role::Bad),
        (Role::Gauge, Role::GaugeRest),
        (Role::Bar, Role::BarWorst),
        (Role::Title, Role::TitleFocus),
        (Role::Text, Role::Selected),
    ] {
        assert_ne!(modifiers(a), modifiers(b), "{} and {}", a.name(), b.name());
    }
    let heat = [Role::Heat1, Role::Heat2, Role::Heat3, Role::Heat4].map(modifiers);
    assert!(
        (0..4).all(|i| (0..i).all(|j| heat[i] != heat[j])),
        "{heat:?}"
    );
}

#[test]
fn what_is_selected_stands_out_in_every_theme() {
    for (name, theme) in themes() {
        let style = theme.style(Role::Selected);
        let reversed = style.add_modifier.contains(Modifier::REVERSED);
        assert!(reversed || style.bg.is_some(), "{name}");
    }
}

#[test]
fn a_ground_that_is_declared_is_under_everything() {
    let theme = Theme::load("high-contrast").unwrap();
    for (width, height) in [(20, 1), (60, 10), (80, 24), (120, 40)] {
        for records in [story::empty(), story::midrun()] {
            let mut app = screen_of(&records, true);
            let screen = drawn(&mut app, (width, height), &theme);
            let bare = screen.content.iter().filter(|cell| cell.bg == Color::Reset);
            assert_eq!(bare.count(), 0, "{width}x{height}");
        }
    }
}

#[test]
fn the_key_walks_through_every_theme() {
    let names: Vec<String> = themes().into_iter().map(|(name, _)| name).collect();
    let mut app = screen_of(&story::midrun(), true);
    app.settings.themes.clone_from(&names);
    let mut seen = Vec::new();
    for _ in &names {
        seen.push(names[app.ui.theme].clone());
        let key = KeyEvent::new(KeyCode::Char('t'), KeyModifiers::NONE);
        update(&mut app, Msg::Key(key));
    }
    assert_eq!(seen, names);
    assert_eq!(app.ui.theme, 0, "and begins again");
}

#[test]
fn the_theme_in_the_readme_is_one() {
    let readme = include_str!("../../docs/screen.md");
    let block = readme
        .split("```toml\n")
        .find(|part| part.starts_with("# ~/.config/epochtop/themes/mine.toml"));
    let text = block.and_then(|part| part.split("```").next()).unwrap();
    let mine = Theme::parse("mine", text).unwrap();
    assert!(declares_ground(&mine));
    let dark = Theme::load("dark").unwrap();
    assert_ne!(mine.style(Role::Train), dark.style(Role::Train));
}
