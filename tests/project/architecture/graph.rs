//! The dependencies between the files of a package.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Named, Source};

/// The maximum length of a chain of re-exports.
const MAX_REEXPORTS: usize = 8;

/// The uses between the files of one package.
pub(crate) struct Graph<'a> {
    sources: &'a [Source],
    /// Each use: the using file, the used file, and the line in the using file.
    pub(crate) edges: BTreeMap<(usize, usize), usize>,
}

impl<'a> Graph<'a> {
    /// The uses between these files, which are one package. `name` is the package's name in `use` paths.
    pub(crate) fn new(sources: &'a [Source], name: &str) -> Self {
        let files: BTreeMap<&[String], usize> = sources
            .iter()
            .enumerate()
            .map(|(index, source)| (source.module.as_slice(), index))
            .collect();
        let package = Package {
            sources,
            files,
            name,
        };
        let mut edges = BTreeMap::new();
        for (index, source) in sources.iter().enumerate() {
            for named in &source.named {
                if let Some(used) = package.used(source, named)
                    && used != index
                {
                    edges.entry((index, used)).or_insert(named.line);
                }
            }
        }
        Self { sources, edges }
    }

    /// Returns the first `depth` segments of a path in the crate `latchkey`, counted from the crate's root.
    pub(crate) fn module_named(
        source: &Source,
        named: &Named,
        depth: usize,
    ) -> Option<Vec<String>> {
        let path = Self::path_in_latchkey(source, named)?;
        path.get(..depth).map(<[String]>::to_vec)
    }

    /// Returns a path in the crate `latchkey`, counted from the crate's root.
    pub(crate) fn path_in_latchkey(source: &Source, named: &Named) -> Option<Vec<String>> {
        from_root(source, &named.path, "latchkey")
    }

    /// Returns the groups of files with circular dependencies.
    pub(crate) fn circles(&self) -> Vec<Vec<&'a str>> {
        let mut reach: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for start in 0..self.sources.len() {
            let mut seen = BTreeSet::new();
            let mut next = vec![start];
            while let Some(file) = next.pop() {
                for (_, used) in self.edges.keys().filter(|(user, _)| *user == file) {
                    if seen.insert(*used) {
                        next.push(*used);
                    }
                }
            }
            reach.insert(start, seen);
        }
        let mut circles = BTreeSet::new();
        for (file, reached) in &reach {
            if reached.contains(file) {
                let members = reached.iter().filter(|other| reach[other].contains(file));
                let members = members.map(|member| self.sources[*member].path.as_str());
                circles.insert(members.collect::<Vec<&str>>());
            }
        }
        circles.into_iter().collect()
    }
}

struct Package<'a> {
    sources: &'a [Source],
    files: BTreeMap<&'a [String], usize>,
    name: &'a str,
}

impl Package<'_> {
    /// The file that a named path leads to, if it is one of the package.
    fn used(&self, source: &Source, named: &Named) -> Option<usize> {
        let is_used = named
            .path
            .last()
            .is_some_and(|name| source.used.contains(name));
        if named.is_reexport && !is_used {
            return None;
        }
        self.file_of(&self.absolute(source, &named.path)?, MAX_REEXPORTS)
    }

    /// A path from the package's root.
    fn absolute(&self, source: &Source, path: &[String]) -> Option<Vec<String>> {
        from_root(source, path, self.name).or_else(|| {
            // A module that is declared in this file.
            let inner = [&source.module, path].concat();
            let child = inner.get(..=source.module.len())?;
            self.files.contains_key(child).then_some(inner)
        })
    }

    /// Returns the file that declares the item at a path from the root.
    fn file_of(&self, path: &[String], reexports: usize) -> Option<usize> {
        let depth = (0..=path.len())
            .rev()
            .find(|depth| self.files.contains_key(&path[..*depth]))?;
        let file = self.files[&path[..depth]];
        let source = &self.sources[file];
        let (Some(item), Some(reexports)) = (path.get(depth), reexports.checked_sub(1)) else {
            return Some(file);
        };
        let Some(alias) = source.aliases.get(item) else {
            return Some(file);
        };
        match self.absolute(source, alias) {
            Some(origin) => {
                let origin = [origin.as_slice(), &path[depth + 1..]].concat();
                self.file_of(&origin, reexports)
            }
            // The name comes from another package.
            None => None,
        }
    }
}

/// Returns the path from the package's root, if the first segment determines it.
fn from_root(source: &Source, path: &[String], package: &str) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([&source.module, rest].concat()),
        "super" => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            let depth = source.module.len().checked_sub(ups)?;
            Some([&source.module[..depth], &path[ups..]].concat())
        }
        first if first == package => Some(rest.to_vec()),
        _ => None,
    }
}
