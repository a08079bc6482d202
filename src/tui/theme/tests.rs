//! Parsing, inheritance, names, and error messages of themes.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use super::*;

#[test]
fn every_built_in_theme_loads() {
    let names: Vec<String> = themes().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, BUILT_IN.map(|(name, _)| name));
    for (name, _) in BUILT_IN {
        let theme = Theme::load(name).unwrap();
        assert_eq!(theme.name(), name);
        assert_eq!(theme.is_dark(), name != "light");
    }
}

#[test]
fn dark_defines_every_role() {
    let (file, problems) = file::read(Path::new("dark"), BUILT_IN[0].1);
    assert_eq!(problems, []);
    for role in Role::ALL {
        assert!(
            file.roles.iter().any(|(named, _)| named == role),
            "{}",
            role.name()
        );
    }
}

#[test]
fn mono_has_no_colours() {
    assert_eq!(colours(&Theme::load("mono").unwrap()), 0);
}

/// The number of colours other than the terminal's default colours.
fn colours(theme: &Theme) -> usize {
    let styles = Role::ALL.iter().map(|role| theme.style(*role));
    let colours = styles.flat_map(|style| [style.fg, style.bg]);
    colours
        .filter(|color| !matches!(color, None | Some(Color::Reset)))
        .count()
}

#[test]
fn without_colours_the_modifiers_stay() {
    for (name, theme) in themes() {
        let plain = theme.reduced(ColorDepth::None);
        assert_eq!(colours(&plain), 0, "{name}");
        for role in Role::ALL {
            assert_eq!(
                plain.style(*role).add_modifier,
                theme.style(*role).add_modifier
            );
        }
    }
}

fn errors(text: &str) -> Vec<String> {
    let problems = Theme::parse("mine", text).unwrap_err().0;
    let line = |problem: &crate::config::Problem| {
        let value = problem.value.clone().unwrap_or_default();
        format!(
            "{} {} = {value}: {}",
            problem.origin, problem.key, problem.message
        )
    };
    problems.iter().map(line).collect()
}

#[test]
fn all_errors_are_reported_with_file_line_key_value_and_rule() {
    let text = "background = 'grey'\n\
                colour = 1\n\
                [palette]\n\
                blue = '#12'\n\
                sky = 300\n\
                [roles]\n\
                trian = 1\n\
                train = 'bleu'\n\
                good = { fg = 256, gb = 1, modifiers = ['blink', 'bold'] }\n\
                bad = true\n\
                inherits = 'dark'\n";
    let color =
        "must be a colour: 0 to 255, \"#rrggbb\", default, or a name such as red or bright-red";
    assert_eq!(
        errors(text),
        [
            "themes/mine.toml:1 background = \"grey\": must be \"dark\" or \"light\"".to_owned(),
            "themes/mine.toml:2 colour = 1: unknown key, expected one of inherits, background, palette, roles"
                .to_owned(),
            format!("themes/mine.toml:4 palette.blue = \"#12\": {color}"),
            format!("themes/mine.toml:5 palette.sky = 300: {color}"),
            "themes/mine.toml:7 roles.trian = 1: unknown role, did you mean `train`?".to_owned(),
            format!("themes/mine.toml:9 roles.good.fg = 256: {color}"),
            "themes/mine.toml:9 roles.good.gb = 1: unknown key, expected one of fg, bg, modifiers"
                .to_owned(),
            "themes/mine.toml:9 roles.good.modifiers = \"blink\": unknown modifier, expected one of bold, dim, italic, \
             underlined, reversed"
                .to_owned(),
            format!("themes/mine.toml:10 roles.bad = true: {color}"),
            "themes/mine.toml:11 roles.inherits = \"dark\": unknown role, expected one of "
                .to_owned()
                + &Role::ALL.iter().map(|role| role.name()).collect::<Vec<_>>().join(", "),
            format!("themes/mine.toml:8 roles.train = \"bleu\": {color}, or a name of the palette"),
        ]
    );
    assert_eq!(errors("[roles\n").len(), 1, "invalid TOML is one error");
}

#[test]
fn a_misspelled_palette_name_gets_a_suggestion() {
    let found = errors("inherits = 'dark'\n[roles]\ntrain = { fg = 'orang' }");
    assert!(
        found[0].starts_with("themes/mine.toml:3 roles.train.fg = \"orang\": must be a colour"),
        "{found:?}"
    );
    assert!(found[0].ends_with("or a name of the palette, did you mean `orange`?"));
}

#[test]
fn a_child_overrides_the_palette_of_its_parent() {
    let text = "inherits = 'dark'\n[palette]\nblue = '#010203'";
    let child = Theme::parse("child", text).unwrap();
    let dark = Theme::load("dark").unwrap();
    assert_eq!(child.style(Role::Train).fg, Some(Color::Rgb(1, 2, 3)));
    assert_eq!(child.style(Role::Valid), dark.style(Role::Valid));
}

/// The built-in themes, and user themes with these names and texts.
fn with_user_themes(files: &[(&str, &str)]) -> Themes {
    let mut themes = Themes::built_in();
    for (name, text) in files {
        let path = Path::new("/home/me").join(format!("{name}.toml"));
        themes.add(name, path, (*text).to_owned()).unwrap();
    }
    themes
}

#[test]
fn user_themes_can_inherit_from_each_other_and_follow_the_built_in_ones() {
    let themes = with_user_themes(&[
        ("base", "inherits = 'light'\n[palette]\nblue = 1"),
        ("mine", "inherits = 'base'\n[roles]\nvalid = 2"),
    ]);
    let mine = themes.load("mine").unwrap();
    assert_eq!(mine.style(Role::Train).fg, Some(Color::Indexed(1)));
    assert_eq!(mine.style(Role::Valid).fg, Some(Color::Indexed(2)));
    assert!(!mine.is_dark(), "the background is inherited too");
    let names: Vec<&str> = themes.names().skip(BUILT_IN.len()).collect();
    assert_eq!(names, ["base", "mine"]);
    assert_eq!(themes.path("mine"), Some(Path::new("/home/me/mine.toml")));
    assert_eq!(themes.path("dark"), None);
}

#[test]
fn cycles_and_unknown_parents_are_errors() {
    let themes = with_user_themes(&[
        ("a", "inherits = 'b'"),
        ("b", "inherits = 'a'"),
        ("c", "inherits = 'drak'"),
        ("d", "inherits = 'd'"),
        ("e", "inherits = 3"),
    ]);
    let error = |name: &str| themes.load(name).unwrap_err().to_string();
    assert!(error("a").contains("/home/me/b.toml:1  inherits = \"a\"  themes inherit"));
    assert!(error("c").contains("inherits = \"drak\"  unknown theme, did you mean `dark`?"));
    assert!(error("d").contains("in a cycle"));
    assert!(error("e").contains("inherits = 3  must be the name of a theme"));
    let (good, problems) = themes.all();
    assert_eq!(good.len(), BUILT_IN.len());
    assert_eq!(problems.len(), 5, "{problems:?}");
}

#[test]
fn the_errors_of_a_parent_are_reported_once() {
    let themes = with_user_themes(&[
        ("base", "[roles]\ntrian = 1"),
        ("mine", "inherits = 'base'"),
        ("other", "inherits = 'base'"),
    ]);
    assert_eq!(themes.load("mine").unwrap_err().0.len(), 1);
    assert_eq!(themes.all().1.len(), 1);
}

#[test]
fn duplicate_names_are_errors() {
    let mut themes = Themes::built_in();
    let add = |themes: &mut Themes, name: &str| {
        let path = Path::new("/home/me").join(format!("{name}.toml"));
        themes.add(name, path, String::new())
    };
    let problem = add(&mut themes, "dark").unwrap_err();
    assert!(
        problem
            .message
            .contains("`dark` is already the name of a built-in theme")
    );
    assert!(add(&mut themes, "mine").is_ok());
    assert!(add(&mut themes, "mine").is_err());
}

#[test]
fn an_unknown_theme_is_a_problem_of_the_configuration_key() {
    let problem = Theme::load("drak").unwrap_err().0.remove(0);
    assert_eq!(problem.key, "ui.theme");
    assert_eq!(problem.message, "unknown theme, did you mean `dark`?");
    let problem = Theme::load("xyz").unwrap_err().0.remove(0);
    assert_eq!(
        problem.message,
        "unknown theme, expected one of dark, light, high-contrast, colour-blind, mono"
    );
}

#[test]
fn styles_are_described_with_the_names_of_theme_files() {
    let text = "[roles]\ntrain = { fg = '#d55e00', bg = 235, modifiers = ['bold', 'dim'] }\nvalid = 'bright-red'\n\
                good = { bg = 'default' }\nbad = { modifiers = ['reversed'] }";
    let theme = Theme::parse("mine", text).unwrap();
    let roles = [Role::Train, Role::Valid, Role::Good, Role::Bad, Role::Warn];
    assert_eq!(
        roles.map(|role| theme.describe(role)),
        [
            "#d55e00 on 235, bold, dim",
            "lightred",
            "on default",
            "reversed",
            ""
        ]
    );
}

#[test]
fn every_role_has_a_name_and_a_description() {
    for role in Role::ALL {
        assert_eq!(Role::named(role.name()), Some(*role));
        assert!(!role.doc().is_empty() && !role.doc().ends_with('.'));
    }
}
