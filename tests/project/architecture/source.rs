//! A source file and the names in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

/// A source file of one package.
pub(crate) struct Source {
    /// The path below the repository's root, such as `src/home/token.rs`.
    pub(crate) path: String,
    /// The file's text.
    pub(crate) text: String,
    /// The file's module path, such as `["home", "token"]`. It is empty for `lib.rs`.
    pub(crate) module: Vec<String>,
    /// The paths that the file's code names, outside of tests.
    pub(crate) named: Vec<Named>,
    /// The names that the file brings into scope by `use`, with their paths.
    pub(crate) aliases: BTreeMap<String, Vec<String>>,
    /// The names that begin a path in the file's code, apart from `use`.
    pub(crate) used: BTreeSet<String>,
    /// The functions that return `Self` and take no `self`, with their line and number of arguments.
    pub(crate) constructors: Vec<(String, usize, usize)>,
    /// The lines of modules whose code stands in this file, outside of tests.
    pub(crate) inline_modules: Vec<usize>,
}

/// A path that a file names.
pub(crate) struct Named {
    /// The line, from 1.
    pub(crate) line: usize,
    /// The segments, as written.
    pub(crate) path: Vec<String>,
    /// True if the path stands in a `pub use`.
    pub(crate) is_reexport: bool,
    /// True if the path brings names into scope that stand for the whole path: in a `use`, or before a group.
    pub(crate) is_import: bool,
}

impl Source {
    /// Parses a file. `root` is the package's source directory, such as `src/`.
    pub(crate) fn parse(path: &str, root: &str, text: &str) -> Self {
        let file = syn::parse_file(text).map_err(|error| format!("{path}: {error}"));
        let file = file.unwrap();
        let mut reader = Reader::default();
        reader.visit_file(&file);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            module: module(path, root),
            named: reader.named,
            aliases: reader.aliases,
            used: reader.used,
            constructors: reader.constructors,
            inline_modules: reader.inline_modules,
        }
    }

    /// Reads all Rust files below `root`.
    pub(crate) fn read_all(repository: &Path, root: &str) -> Vec<Self> {
        let mut files = Vec::new();
        read(&repository.join(root), &mut files);
        let sources = files.into_iter().map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            let path = file.strip_prefix(repository).unwrap();
            Self::parse(&path.display().to_string(), root, &text)
        });
        sources.collect()
    }

    /// Returns true if the file contains only tests.
    pub(crate) fn is_test(&self) -> bool {
        let last = self.module.iter().skip(1);
        last.clone()
            .any(|part| part == "tests" || part == "testing")
    }

    /// Returns true if `place` is the path of this file, or a directory (with a slash at the end) that contains it.
    pub(crate) fn is_at(&self, place: &str) -> bool {
        self.path == place || (place.ends_with('/') && self.path.starts_with(place))
    }

    /// The number of lines before the tests.
    fn code_lines(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| {
            pair[0] == "#[cfg(test)]" && pair[1].trim_start().starts_with("mod tests")
        });
        tests.unwrap_or(lines.len())
    }

    /// The lines of code, numbered from 1, without comments and tests.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let code = self.text.lines().take(self.code_lines());
        (1..).zip(code.map(without_comment))
    }

    /// Returns the first line of code after the tests. The rules do not check code there.
    pub(crate) fn code_after_tests(&self) -> Option<usize> {
        let start = self.code_lines() + 2;
        let mut after = (1..).zip(self.text.lines()).skip(start);
        let is_code = |line: &str| !line.is_empty() && !line.starts_with(' ') && line != "}";
        after
            .find(|(_, line)| is_code(line))
            .map(|(number, _)| number)
    }
}

fn read(directory: &Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Returns the module path of a file. The file of an executable is its own module.
fn module(path: &str, root: &str) -> Vec<String> {
    let below = path.strip_prefix(root).unwrap_or(path);
    let below = below.strip_suffix(".rs").unwrap_or(below);
    match below {
        "lib" => Vec::new(),
        "main" => vec!["main.rs".to_owned()],
        below if below.starts_with("bin/") => vec![below.to_owned()],
        below => below.split('/').map(str::to_owned).collect(),
    }
}

/// Returns the line without its comment. The slashes of a URL do not begin a comment.
fn without_comment(line: &str) -> &str {
    line.match_indices("//")
        .find(|(at, _)| !line[..*at].ends_with(':'))
        .map_or(line, |(at, _)| &line[..at])
}

/// Collects the names of a file.
#[derive(Default)]
struct Reader {
    named: Vec<Named>,
    aliases: BTreeMap<String, Vec<String>>,
    used: BTreeSet<String>,
    constructors: Vec<(String, usize, usize)>,
    inline_modules: Vec<usize>,
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        is_cfg
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl Reader {
    fn tree(&mut self, tree: &syn::UseTree, before: &[String], is_reexport: bool) {
        let with = |ident: &syn::Ident| {
            let mut path = before.to_vec();
            path.push(ident.to_string());
            path
        };
        let mut name = |alias: Option<&syn::Ident>, path: Vec<String>, line: usize| {
            let path = match path.last().map(String::as_str) {
                Some("self") => path[..path.len() - 1].to_vec(),
                _ => path,
            };
            let alias = alias.map(ToString::to_string).or(path.last().cloned());
            if let Some(alias) = alias {
                self.aliases.insert(alias, path.clone());
            }
            self.named.push(Named {
                line,
                path,
                is_reexport,
                is_import: true,
            });
        };
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident), is_reexport),
            syn::UseTree::Name(leaf) => {
                name(None, with(&leaf.ident), leaf.ident.span().start().line);
            }
            syn::UseTree::Rename(leaf) => {
                let line = leaf.ident.span().start().line;
                name(Some(&leaf.rename), with(&leaf.ident), line);
            }
            syn::UseTree::Glob(glob) => {
                let line = glob.star_token.span().start().line;
                self.named.push(Named {
                    line,
                    path: before.to_vec(),
                    is_reexport,
                    is_import: true,
                });
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(tree, before, is_reexport);
                }
            }
        }
    }

    /// The paths in a macro's tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.token_path(&mut path, line);
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                }
                token => {
                    // `crate::{a, b}`: the paths in the group are incomplete.
                    let is_import = colons == 2 && matches!(token, TokenTree::Group(_));
                    if is_import {
                        self.named.push(Named {
                            line,
                            path: path.clone(),
                            is_reexport: false,
                            is_import,
                        });
                    }
                    self.token_path(&mut path, line);
                    colons = 0;
                    if let TokenTree::Group(group) = token {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.token_path(&mut path, line);
    }

    fn token_path(&mut self, path: &mut Vec<String>, line: usize) {
        let path = std::mem::take(path);
        self.used.extend(path.first().cloned());
        if path.len() > 1 {
            self.named.push(Named {
                line,
                path,
                is_reexport: false,
                is_import: false,
            });
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.content.is_some() {
            self.inline_modules.push(item.ident.span().start().line);
        }
        visit::visit_item_mod(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_reexport = !matches!(item.vis, syn::Visibility::Inherited);
        self.tree(&item.tree, &[], is_reexport);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first() {
            self.used.insert(first.ident.to_string());
        }
        // A single name is of the file itself, or was brought into scope by `use`.
        if path.segments.len() > 1 {
            let segments = path.segments.iter();
            self.named.push(Named {
                line: path.span().start().line,
                path: segments.map(|segment| segment.ident.to_string()).collect(),
                is_reexport: false,
                is_import: false,
            });
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.tokens(called.tokens.clone());
        visit::visit_macro(self, called);
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // `pub(super)` names no item.
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        let signature = &function.sig;
        let returns_self = match &signature.output {
            syn::ReturnType::Default => false,
            syn::ReturnType::Type(_, returned) => {
                let mut search = SelfSearch(false);
                search.visit_type(returned);
                search.0
            }
        };
        if returns_self && signature.receiver().is_none() {
            self.constructors.push((
                signature.ident.to_string(),
                signature.ident.span().start().line,
                signature.inputs.len(),
            ));
        }
        visit::visit_impl_item_fn(self, function);
    }
}

/// Finds `Self` in a type.
struct SelfSearch(bool);

impl<'ast> Visit<'ast> for SelfSearch {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0 |= path.is_ident("Self");
        visit::visit_path(self, path);
    }
}
