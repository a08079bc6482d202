//! Themes as they are written: families, names, and mistakes told all at once.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use super::*;

#[test]
fn every_theme_loads_and_gives_each_role_a_look() {
    let names: Vec<String> = themes().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, BUILT_IN.map(|(name, _)| name));
    for (name, _) in BUILT_IN {
        let theme = Theme::load(name).unwrap();
        assert_eq!(theme.name(), name);
        assert_eq!(theme.is_dark(), name != "light");
    }
}

#[test]
fn dark_names_every_role() {
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
fn mono_knows_no_colour() {
    assert_eq!(colours(&Theme::load("mono").unwrap()), 0);
}

/// Colours other than the terminal's own.
fn colours(theme: &Theme) -> usize {
    let looks = Role::ALL.iter().map(|role| theme.style(*role));
    let colours = looks.flat_map(|style| [style.fg, style.bg]);
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

fn mistakes(text: &str) -> Vec<String> {
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
fn all_mistakes_are_told_at_once_with_file_line_key_value_and_rule() {
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
        mistakes(text),
        [
            "themes/mine.toml:1 background = \"grey\": must be \"dark\" or \"light\"".to_owned(),
            "themes/mine.toml:2 colour = 1: unknown key, there are inherits, background, palette, roles"
                .to_owned(),
            format!("themes/mine.toml:4 palette.blue = \"#12\": {color}"),
            format!("themes/mine.toml:5 palette.sky = 300: {color}"),
            "themes/mine.toml:7 roles.trian = 1: unknown role, did you mean `train`?".to_owned(),
            format!("themes/mine.toml:9 roles.good.fg = 256: {color}"),
            "themes/mine.toml:9 roles.good.gb = 1: unknown key, there are fg, bg, modifiers"
                .to_owned(),
            "themes/mine.toml:9 roles.good.modifiers = \"blink\": unknown modifier, there are bold, dim, italic, \
             underlined, reversed"
                .to_owned(),
            format!("themes/mine.toml:10 roles.bad = true: {color}"),
            "themes/mine.toml:11 roles.inherits = \"dark\": unknown role, there are "
                .to_owned()
                + &Role::ALL.iter().map(|role| role.name()).collect::<Vec<_>>().join(", "),
            format!("themes/mine.toml:8 roles.train = \"bleu\": {color}, or be in the palette"),
        ]
    );
    assert_eq!(
        mistakes("[roles\n").len(),
        1,
        "what is not TOML is one mistake"
    );
}

#[test]
fn a_misspelled_name_of_the_palette_is_guessed() {
    let said = mistakes("inherits = 'dark'\n[roles]\ntrain = { fg = 'orang' }");
    assert!(
        said[0].starts_with("themes/mine.toml:3 roles.train.fg = \"orang\": must be a colour"),
        "{said:?}"
    );
    assert!(said[0].ends_with("or be in the palette, did you mean `orange`?"));
}

#[test]
fn a_child_changes_the_palette_of_its_parent() {
    let text = "inherits = 'dark'\n[palette]\nblue = '#010203'";
    let child = Theme::parse("child", text).unwrap();
    let dark = Theme::load("dark").unwrap();
    assert_eq!(child.style(Role::Train).fg, Some(Color::Rgb(1, 2, 3)));
    assert_eq!(child.style(Role::Valid), dark.style(Role::Valid));
}

fn own(files: &[(&str, &str)]) -> Themes {
    let mut themes = Themes::built_in();
    for (name, text) in files {
        let path = Path::new("/home/me").join(format!("{name}.toml"));
        themes.add(name, path, (*text).to_owned()).unwrap();
    }
    themes
}

#[test]
fn a_users_theme_inherits_another_of_theirs_and_comes_after_those_built_in() {
    let themes = own(&[
        ("base", "inherits = 'light'\n[palette]\nblue = 1"),
        ("mine", "inherits = 'base'\n[roles]\nvalid = 2"),
    ]);
    let mine = themes.load("mine").unwrap();
    assert_eq!(mine.style(Role::Train).fg, Some(Color::Indexed(1)));
    assert_eq!(mine.style(Role::Valid).fg, Some(Color::Indexed(2)));
    assert!(!mine.is_dark(), "the ground is inherited too");
    let names: Vec<&str> = themes.names().skip(BUILT_IN.len()).collect();
    assert_eq!(names, ["base", "mine"]);
    assert_eq!(themes.path("mine"), Some(Path::new("/home/me/mine.toml")));
    assert_eq!(themes.path("dark"), None);
}

#[test]
fn nobody_is_their_own_ancestor_and_parents_exist() {
    let themes = own(&[
        ("a", "inherits = 'b'"),
        ("b", "inherits = 'a'"),
        ("c", "inherits = 'drak'"),
        ("d", "inherits = 'd'"),
        ("e", "inherits = 3"),
    ]);
    let said = |name: &str| themes.load(name).unwrap_err().to_string();
    assert!(said("a").contains("/home/me/b.toml:1  inherits = \"a\"  leads back"));
    assert!(
        said("c").contains("inherits = \"drak\"  there is no such theme, did you mean `dark`?")
    );
    assert!(said("d").contains("leads back"));
    assert!(said("e").contains("inherits = 3  must be the name of a theme"));
    let (good, problems) = themes.all();
    assert_eq!(good.len(), BUILT_IN.len());
    assert_eq!(problems.len(), 5, "{problems:?}");
}

#[test]
fn the_mistakes_of_a_parent_are_told_once() {
    let themes = own(&[
        ("base", "[roles]\ntrian = 1"),
        ("mine", "inherits = 'base'"),
        ("other", "inherits = 'base'"),
    ]);
    assert_eq!(themes.load("mine").unwrap_err().0.len(), 1);
    assert_eq!(themes.all().1.len(), 1);
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let mut themes = Themes::built_in();
    let add = |themes: &mut Themes, name: &str| {
        let path = Path::new("/home/me").join(format!("{name}.toml"));
        themes.add(name, path, String::new())
    };
    let said = add(&mut themes, "dark").unwrap_err();
    assert!(
        said.message
            .contains("`dark` is the name of a theme that is built in")
    );
    assert!(add(&mut themes, "mine").is_ok());
    assert!(add(&mut themes, "mine").is_err());
}

#[test]
fn a_theme_that_is_not_there_is_a_problem_of_the_key_that_names_it() {
    let problem = Theme::load("drak").unwrap_err().0.remove(0);
    assert_eq!(problem.key, "ui.theme");
    assert_eq!(
        problem.message,
        "there is no such theme, did you mean `dark`?"
    );
    let problem = Theme::load("xyz").unwrap_err().0.remove(0);
    assert_eq!(
        problem.message,
        "there is no such theme, there are dark, light, high-contrast, colour-blind, mono"
    );
}

#[test]
fn a_look_in_words_is_as_a_theme_file_has_it() {
    let text = "[roles]\ntrain = { fg = '#d55e00', bg = 235, modifiers = ['bold', 'dim'] }\nvalid = 'bright-red'\n\
                good = { bg = 'default' }\nbad = { modifiers = ['reversed'] }";
    let theme = Theme::parse("mine", text).unwrap();
    let roles = [Role::Train, Role::Valid, Role::Good, Role::Bad, Role::Warn];
    assert_eq!(
        roles.map(|role| theme.words(role)),
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
fn every_role_has_a_name_and_words_of_its_own() {
    for role in Role::ALL {
        assert_eq!(Role::named(role.name()), Some(*role));
        assert!(!role.doc().is_empty() && !role.doc().ends_with('.'));
    }
}
