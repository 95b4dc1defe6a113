//! Which tasks `--tags` and `--skip-tags` select, as in Ansible. `always` and `never` are special tags of tasks; `all`,
//! `tagged` and `untagged` are special words of the selection.

use std::sync::Arc;

use super::free_form::comma_words;
use super::play::Block;
use super::play::Node;
use super::play::Play;

/// The selection of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    only: Vec<String>,
    skip: Vec<String>,
}

impl Selection {
    /// Makes a selection of the values of `--tags` and `--skip-tags`: words between commas.
    pub fn new(only: &[String], skip: &[String]) -> Self {
        let words = |texts: &[String]| -> Vec<String> { texts.iter().flat_map(|text| comma_words(text)).collect() };
        let only = words(only);
        Self { only: if only.is_empty() { vec!["all".to_owned()] } else { only }, skip: words(skip) }
    }

    /// Returns the words of `--tags`.
    pub fn only(&self) -> Vec<String> {
        self.only.clone()
    }

    /// Returns the words of `--skip-tags`.
    pub fn skip(&self) -> Vec<String> {
        self.skip.clone()
    }

    /// Reports whether a task with these tags runs.
    pub fn selects(&self, tags: &[String]) -> bool {
        let has = |words: &[String], tag: &str| words.iter().any(|word| word == tag);
        let shares = |words: &[String]| {
            if tags.is_empty() { has(words, "untagged") } else { tags.iter().any(|tag| has(words, tag)) }
        };
        let is_tagged = !tags.is_empty();
        let is_never = has(tags, "never");
        let is_wanted = has(tags, "always")
            || has(&self.only, "all") && !is_never
            || shares(&self.only)
            || has(&self.only, "tagged") && is_tagged && !is_never;
        let is_skipped = if has(&self.skip, "all") {
            !has(tags, "always") || has(&self.skip, "always")
        } else {
            shares(&self.skip) || has(&self.skip, "tagged") && is_tagged
        };
        is_wanted && !is_skipped
    }

    /// Removes the tasks of a play that are not selected. Handlers stay: they run if a task notifies them.
    pub fn apply(&self, play: &mut Play) {
        play.tasks = self.selected(&play.tasks);
    }

    /// Returns the tasks that are selected, in their blocks.
    pub fn selected(&self, nodes: &Arc<[Node]>) -> Arc<[Node]> {
        let node = |node: &Node| match node {
            Node::Task(task) => self.selects(&task.settings.tags).then(|| node.clone()),
            Node::Flush => Some(Node::Flush),
            Node::Block(block) => {
                let [body, rescue, always] =
                    [&block.body, &block.rescue, &block.always].map(|nodes| self.selected(nodes));
                Some(Node::Block(Arc::new(Block { body, rescue, always })))
            }
        };
        nodes.iter().filter_map(node).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Selection;

    /// Reports which of five tasks run: untagged, `a`, `always`, `never`, and `a` with `never`.
    fn runs(only: &str, skip: &str) -> String {
        let words = |text: &str| -> Vec<String> { if text.is_empty() { vec![] } else { vec![text.to_owned()] } };
        let selection = Selection::new(&words(only), &words(skip));
        let tasks: [&[&str]; 5] = [&[], &["a"], &["always"], &["never"], &["a", "never"]];
        let runs = |tags: &&[&str]| selection.selects(&tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
        tasks.iter().map(|tags| if runs(tags) { '+' } else { '-' }).collect()
    }

    #[test]
    fn tags_select_the_tasks_that_ansible_selects() {
        for (only, skip, expected) in [
            ("", "", "+++--"),
            ("a", "", "-++-+"),
            ("b, a", "", "-++-+"),
            ("b", "", "--+--"),
            ("never", "", "--+++"),
            ("all", "", "+++--"),
            ("tagged", "", "-++--"),
            ("untagged", "", "+-+--"),
            ("", "a", "+-+--"),
            ("", "always", "++---"),
            ("", "tagged", "+----"),
            ("", "untagged", "-++--"),
            ("", "all", "--+--"),
            ("", "all,always", "-----"),
            ("a", "always", "-+--+"),
        ] {
            assert_eq!(runs(only, skip), expected, "--tags {only} --skip-tags {skip}");
        }
    }
}
