//! The import graph of the source files, and its cycles.
//!
//! An import is a path, in a `use` declaration or in code, that begins with `crate`, `super`, `self` or a submodule.
//! It points to the file that defines the named item; re-exports are followed. Not counted as imports are `mod`
//! declarations, re-exports of a submodule's items, and imports from a parent module, because parents define what
//! their submodules share. Unit tests are ignored.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module path from the crate root; the crate root itself is the empty path.
type Module = Vec<String>;

/// Maximum number of re-exports or imports followed from one path.
const DEPTH: usize = 8;

/// For each file, the files it imports. Paths are relative to the crate's source directory.
pub(super) type Graph = BTreeMap<String, BTreeSet<String>>;

/// The import graph of all files below a directory that contains a `lib.rs`.
pub(super) fn graph(src: &Path) -> Graph {
    let mut files: BTreeMap<Module, (String, Vec<Import>)> = BTreeMap::new();
    for path in sources(src) {
        let below = path.strip_prefix(src).unwrap_or(&path).to_string_lossy();
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let parts = below.trim_end_matches(".rs").split('/');
        let module = parts.filter(|part| *part != "lib").map(str::to_owned);
        files.insert(module.collect(), (below.into_owned(), imports(&text)));
    }
    let mut graph = Graph::new();
    for (module, (file, imports)) in &files {
        let edges = graph.entry(file.clone()).or_default();
        for import in imports {
            let Some(target) = resolve(&files, module, &import.path, DEPTH) else {
                continue;
            };
            let is_own = import.is_reexport && target.starts_with(module);
            if !is_own && !module.starts_with(&target) {
                edges.insert(files[&target].0.clone());
            }
        }
    }
    graph
}

/// The strongly connected components with more than one node, largest first.
pub(super) fn cycles(graph: &Graph) -> Vec<BTreeSet<String>> {
    let mut found: BTreeSet<BTreeSet<String>> = BTreeSet::new();
    let reach: BTreeMap<&String, BTreeSet<&String>> = graph
        .keys()
        .map(|node| (node, reachable(graph, node)))
        .collect();
    for (node, ahead) in &reach {
        let back = ahead.iter().filter(|other| reach[*other].contains(node));
        let cycle: BTreeSet<String> = back.map(|other| (*other).clone()).collect();
        if cycle.len() > 1 {
            found.insert(cycle);
        }
    }
    let mut found: Vec<BTreeSet<String>> = found.into_iter().collect();
    found.sort_by_key(|cycle| std::cmp::Reverse(cycle.len()));
    found
}

/// All nodes reachable from a node.
fn reachable<'a>(graph: &'a Graph, from: &String) -> BTreeSet<&'a String> {
    let (mut all, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(node) = next.pop() {
        for (target, _) in graph[node].iter().filter_map(|t| graph.get_key_value(t)) {
            if all.insert(target) {
                next.push(target);
            }
        }
    }
    all
}

/// The import graph between top-level modules, without imports inside one module.
pub(super) fn of_modules(graph: &Graph) -> Graph {
    let top = |file: &String| file.split(['/', '.']).next().unwrap_or_default().to_owned();
    let mut modules = Graph::new();
    for (file, targets) in graph {
        let edges = modules.entry(top(file)).or_default();
        edges.extend(
            targets
                .iter()
                .map(top)
                .filter(|target| *target != top(file)),
        );
    }
    modules
}

/// Lists each file of a cycle with its imports within the cycle.
pub(super) fn describe(cycle: &BTreeSet<String>, graph: &Graph) -> String {
    let lines = cycle.iter().map(|file| {
        let within: Vec<&str> = graph[file]
            .intersection(cycle)
            .map(String::as_str)
            .collect();
        format!("    {file} imports {}", within.join(", "))
    });
    let lines: Vec<String> = lines.collect();
    format!("cycle of {}:\n{}", cycle.len(), lines.join("\n"))
}

/// All source files below a directory, without unit tests.
pub(super) fn sources(src: &Path) -> Vec<PathBuf> {
    let (mut files, mut dirs) = (Vec::new(), vec![src.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_test = path.file_stem().is_some_and(|name| name == "tests");
            if path.is_dir() && !is_test {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !is_test {
                files.push(path);
            }
        }
    }
    files
}

/// A path used in a file.
struct Import {
    path: Vec<String>,
    /// The local name if the path is in a `use` declaration; `*` for a glob import.
    name: Option<String>,
    is_reexport: bool,
}

/// The module that defines the item at `path`, resolved from `module`. `None` if the path leaves the crate.
fn resolve(
    files: &BTreeMap<Module, (String, Vec<Import>)>,
    module: &Module,
    path: &[String],
    depth: usize,
) -> Option<Module> {
    let mut rest = path.iter();
    let mut at = module.clone();
    match rest.next()?.as_str() {
        "crate" => at.clear(),
        "super" => drop(at.pop()?),
        "self" => {}
        child => {
            at.push(child.to_owned());
            files.get(&at)?;
        }
    }
    while let Some(part) = rest.next() {
        if part == "super" {
            at.pop()?;
            continue;
        }
        at.push(part.clone());
        if files.contains_key(&at) {
            continue;
        }
        at.pop();
        let named = files[&at]
            .1
            .iter()
            .find(|import| import.name.as_ref() == Some(part) && import.path.as_slice() != path);
        let Some(named) = named.filter(|_| depth > 0) else {
            break;
        };
        let onward: Vec<String> = named.path.iter().chain(rest).cloned().collect();
        return resolve(files, &at, &onward, depth - 1).or(Some(at));
    }
    files.contains_key(&at).then_some(at)
}

/// All paths used in a file, without its unit tests.
fn imports(text: &str) -> Vec<Import> {
    let tokens = tokens(text);
    let (mut all, mut i) = (Vec::new(), 0);
    while let Some(token) = tokens.get(i) {
        if token == "use" {
            let mut before = tokens[..i].iter().rev();
            let is_reexport = match before.next().map(String::as_str) {
                Some("pub") => true,
                // `pub(super) use`
                Some(")") => before.nth(2).is_some_and(|token| token == "pub"),
                _ => false,
            };
            let mut tree = Vec::new();
            i = branch(&tokens, i + 1, &[], &mut tree);
            all.extend(tree.into_iter().map(|(path, name)| Import {
                path,
                name: Some(name),
                is_reexport,
            }));
        } else if is_word(token) && tokens.get(i + 1).is_some_and(|next| next == "::") {
            let start = i;
            let mut path = vec![token.clone()];
            while tokens.get(i + 1).is_some_and(|next| next == "::")
                && tokens.get(i + 2).is_some_and(|next| is_word(next))
            {
                path.push(tokens[i + 2].clone());
                i += 2;
            }
            if start == 0 || tokens[start - 1] != "::" {
                all.push(Import {
                    path,
                    name: None,
                    is_reexport: false,
                });
            }
        }
        i += 1;
    }
    all
}

/// Parses one branch of a `use` tree starting at token `i`; returns the index of the token where it stopped.
fn branch(
    tokens: &[String],
    mut i: usize,
    before: &[String],
    all: &mut Vec<(Vec<String>, String)>,
) -> usize {
    let mut path = before.to_vec();
    let mut name = None;
    while let Some(token) = tokens.get(i) {
        match token.as_str() {
            "{" => {
                while tokens
                    .get(i)
                    .is_some_and(|token| token == "{" || token == ",")
                {
                    i = branch(tokens, i + 1, &path, all);
                }
                return i + 1;
            }
            "," | "}" | ";" => break,
            "as" => name = tokens.get(i + 1).cloned(),
            "self" if !before.is_empty() => {}
            "*" => name = Some("*".to_owned()),
            "::" => {}
            word if name.is_none() => path.push(word.to_owned()),
            _ => {}
        }
        i += 1;
    }
    if path.len() > before.len() || name.is_some() || tokens.get(i - 1).is_some_and(|t| t == "self")
    {
        let name = name.or_else(|| path.last().cloned()).unwrap_or_default();
        all.push((path, name));
    }
    i
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The tokens of a file (words, `::` and single characters) up to its unit tests, without comments and literals.
fn tokens(text: &str) -> Vec<String> {
    let code: Vec<&str> = text
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .collect();
    let text: Vec<char> = code.join("\n").chars().collect();
    let (mut all, mut i) = (Vec::new(), 0);
    let at = |i: usize| text.get(i).copied().unwrap_or('\0');
    while i < text.len() {
        let c = at(i);
        let from = i;
        if c == '/' && at(i + 1) == '/' {
            while i < text.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == 'r' && (at(i + 1) == '"' || at(i + 1) == '#' && at(i + 2) == '"') {
            let hash = at(i + 1) == '#';
            i += if hash { 3 } else { 2 };
            while i < text.len() && (at(i) != '"' || hash && at(i + 1) != '#') {
                i += 1;
            }
            i += 1;
        } else if c == '"' {
            i += 1;
            while i < text.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' && (at(i + 1) == '\\' || at(i + 2) == '\'') {
            i += if at(i + 1) == '\\' { 3 } else { 2 };
            while i < text.len() && at(i) != '\'' {
                i += 1;
            }
            i += 1;
        } else if c.is_alphanumeric() || c == '_' {
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            all.push(text[from..i].iter().collect());
        } else if c == ':' && at(i + 1) == ':' {
            i += 2;
            all.push("::".to_owned());
        } else {
            i += 1;
            if !c.is_whitespace() {
                all.push(c.to_string());
            }
        }
    }
    all
}

#[test]
fn imports_are_found_in_use_trees_paths_and_re_exports() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("lib.rs", "pub mod a; pub mod b;");
    write(
        "a.rs",
        "mod one;\nmod two;\npub use one::{One, Other as Renamed};\npub use self::two::*;\n",
    );
    write(
        "a/one.rs",
        "use super::super::b::{self, deep::{Deep, B}};\n// use crate::a::two;\nconst S: &str = \"crate::a\";\n",
    );
    write(
        "a/two.rs",
        "fn f<'a>(x: &'a str) { crate::a::One::new('\\'', '\"'); b::c(); super::Renamed }\n",
    );
    write(
        "b.rs",
        "mod deep;\nuse deep::Deep;\n#[cfg(test)]\nuse crate::a;\n",
    );
    write(
        "b/deep.rs",
        "pub(crate) use super::super::a::Renamed as B;\n",
    );
    write("b/tests.rs", "use crate::a;");
    let graph = graph(root.path());
    let targets = |file: &str| graph[file].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(
        targets("a.rs"),
        [""; 0],
        "re-exports of submodules are not imports"
    );
    assert_eq!(
        targets("a/one.rs"),
        ["b.rs", "b/deep.rs"],
        "B resolves to this file itself, through two re-exports"
    );
    assert_eq!(targets("a/two.rs"), ["a/one.rs"]);
    assert_eq!(targets("b.rs"), ["b/deep.rs"]);
    assert_eq!(targets("b/deep.rs"), ["a/one.rs"]);
    let [cycle] = cycles(&graph).try_into().unwrap();
    assert_eq!(cycle.len(), 3);
    let text = describe(&cycle, &graph);
    assert!(text.contains("b/deep.rs imports a/one.rs"), "{text}");
    let [modules] = cycles(&of_modules(&graph)).try_into().unwrap();
    assert_eq!(modules.into_iter().collect::<Vec<_>>(), ["a", "b"]);
}
