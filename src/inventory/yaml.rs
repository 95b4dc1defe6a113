//! YAML (and JSON) inventories: groups are maps of `hosts`, `vars` and `children`.

use std::path::Path;

use super::document;
use super::document::Content;
use super::document::Key;
use super::document::Node;
use super::draft::ALL;
use super::draft::Draft;
use super::draft::host_names;
use super::fault::Fault;
use super::fault::did_you_mean;

/// What a group may say.
const SECTIONS: [&str; 3] = ["hosts", "vars", "children"];

/// Adds what a YAML file says to the draft.
pub(super) fn read(file: &Path, text: &str, draft: &mut Draft) -> Result<(), Fault> {
    let document = document::read(file, text)?;
    let mut reader = Reader { file, draft };
    for (name, group) in reader.map(&document, "an inventory")? {
        reader.group(name, group)?;
    }
    Ok(())
}

struct Reader<'a> {
    file: &'a Path,
    draft: &'a mut Draft,
}

impl Reader<'_> {
    fn fault(&self, node: &Node, what: impl Into<String>) -> Fault {
        Fault::new(self.file, node.at, what)
    }

    /// Returns a map's entries; nothing at all is an empty map.
    fn map<'n>(&self, node: &'n Node, what: &str) -> Result<&'n [(Key, Node)], Fault> {
        match &node.content {
            Content::Map(entries) => Ok(entries),
            _ if node.is_null() => Ok(&[]),
            Content::List(_) => Err(self
                .fault(node, format!("{what} must be a map, not a list"))
                .hint("Write each entry as `name:` with a colon, without the dash.")),
            Content::Scalar(_) => Err(self.fault(node, format!("{what} must be a map, not {}", node.kind()))),
        }
    }

    fn group(&mut self, name: &Key, group: &Node) -> Result<(), Fault> {
        let name = name.text.as_str();
        self.draft.group(name);
        for (section, node) in self.map(group, &format!("group `{name}`"))? {
            match section.text.as_str() {
                "hosts" => self.hosts(name, node)?,
                "vars" => {
                    for (key, value) in self.map(node, &format!("the `vars` of group `{name}`"))? {
                        let set = self.draft.set(name, &key.text, value.value());
                        set.map_err(|what| Fault::new(self.file, value.at, what))?;
                    }
                }
                "children" => self.children(name, node)?,
                other => return Err(self.unknown(name, section, other)),
            }
        }
        Ok(())
    }

    fn unknown(&self, group: &str, section: &Key, word: &str) -> Fault {
        let mut fault = Fault::new(self.file, section.at, format!("group `{group}` has no `{word}`"));
        fault.hint = did_you_mean(word, SECTIONS).or_else(|| {
            Some("A group has `hosts`, `vars` and `children`; groups inside it go under `children`.".into())
        });
        fault
    }

    fn hosts(&mut self, group: &str, node: &Node) -> Result<(), Fault> {
        if let Some(name) = node.text() {
            let (names, port) = host_names(name).map_err(|what| self.fault(node, what))?;
            self.add(group, &names, port, &[]);
            return Ok(());
        }
        for (pattern, vars) in self.map(node, &format!("the `hosts` of group `{group}`"))? {
            let (names, port) = host_names(&pattern.text).map_err(|what| Fault::new(self.file, pattern.at, what))?;
            let vars = self.map(vars, &format!("the variables of host `{}`", pattern.text))?;
            self.add(group, &names, port, vars);
        }
        Ok(())
    }

    fn add(&mut self, group: &str, names: &[String], port: Option<u16>, vars: &[(Key, Node)]) {
        for name in names {
            let host = self.draft.host(group, name);
            if let Some(port) = port {
                host.insert("ansible_port".to_owned(), port.into());
            }
            host.extend(vars.iter().map(|(key, value)| (key.text.clone(), value.value())));
        }
    }

    fn children(&mut self, parent: &str, node: &Node) -> Result<(), Fault> {
        if let Some(child) = node.text() {
            return self.draft.adopt(parent, child).map_err(|what| self.fault(node, what));
        }
        for (child, group) in self.map(node, &format!("the `children` of group `{parent}`"))? {
            if child.text == ALL {
                return Err(Fault::new(self.file, child.at, "group `all` cannot be in another group"));
            }
            let adopted = self.draft.adopt(parent, &child.text);
            adopted.map_err(|what| Fault::new(self.file, child.at, what))?;
            self.group(child, group)?;
        }
        Ok(())
    }
}
