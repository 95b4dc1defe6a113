//! What a key does.

use super::App;
use super::Change;
use super::Effect;
use super::Page;
use super::Scope;
use super::Subject;
use super::View;
use crate::core::model::MachineId;
use crate::core::model::MachineVerb;
use crate::core::model::Verb;
use crate::core::unit::UnitName;
use crate::ui::keys::Key;

impl App {
    /// Takes a key.
    pub(super) fn press(&mut self, key: Key) -> Vec<Effect> {
        self.notice = None;
        match key {
            Key::Control('c') => return vec![Effect::Quit],
            Key::Control('l') => return vec![Effect::Redraw],
            _ if self.popup.is_some() => return self.press_in_popup(key),
            _ if self.is_typing => self.press_in_filter(key),
            Key::Char('q') => return vec![Effect::Quit],
            Key::Char(c) => {
                if let Some(effects) = self.command(c) {
                    return effects;
                }
                self.move_by(key);
            }
            Key::Escape => return self.back(),
            Key::Enter if self.detail.is_none() => return self.enter(),
            Key::Tab | Key::BackTab if self.detail.is_some() => return self.turn(key == Key::Tab),
            Key::Tab | Key::BackTab => self.show(self.view.further(if key == Key::Tab { 1 } else { 4 })),
            _ => self.move_by(key),
        }
        Vec::new()
    }

    fn press_in_popup(&mut self, key: Key) -> Vec<Effect> {
        let (_, height) = self.popup_size();
        let Some(popup) = &mut self.popup else { return Vec::new() };
        let last = popup.lines.len().saturating_sub(height);
        if let Some(first) = moved(key, popup.first, last, height) {
            popup.first = first;
            return Vec::new();
        }
        let question = popup.question.take();
        match (key, question) {
            (Key::Char('y'), Some(change)) => {
                self.popup = None;
                self.notice = Some(format!("{} is under way", self.question(&change).trim_end_matches('?')));
                vec![Effect::CarryOut(change)]
            }
            (Key::Escape | Key::Enter | Key::Char('q' | 'n'), question) => {
                // Enter is no answer to a question.
                if question.is_some() && key == Key::Enter {
                    popup.question = question;
                } else {
                    self.popup = None;
                }
                Vec::new()
            }
            (_, question) => {
                popup.question = question;
                Vec::new()
            }
        }
    }

    fn press_in_filter(&mut self, key: Key) {
        let Some(place) = self.places.get_mut(&self.view) else { return };
        match key {
            Key::Enter => self.is_typing = false,
            Key::Escape => {
                self.is_typing = false;
                place.filter.clear();
            }
            Key::Backspace => drop(place.filter.pop()),
            Key::Control('u') => place.filter.clear(),
            Key::Char(c) => place.type_filter(c),
            _ => return self.move_by(key),
        }
        self.refilter();
    }

    fn refilter(&mut self) {
        let visible = self.visible_rows();
        if let Some(place) = self.places.get_mut(&self.view) {
            place.refresh(&self.listing, visible, false);
        }
    }

    /// Carries out the command of a letter; `None` if the letter is none.
    fn command(&mut self, c: char) -> Option<Vec<Effect>> {
        let Subject { machine, unit, .. } = self.subject();
        Some(match c {
            '?' => {
                self.open_help();
                Vec::new()
            }
            'r' => {
                self.notice = Some("observing the machines…".to_owned());
                vec![Effect::Look]
            }
            'w' => self.page_of_unit(Page::Why),
            'f' => self.page_of_unit(Page::File),
            'l' => self.page_of_unit(Page::Journal),
            'S' => self.preview(unit, |unit| Change::Unit(Verb::Start, unit)),
            'T' => self.preview(unit, |unit| Change::Unit(Verb::Stop, unit)),
            'R' => self.preview(unit, |unit| Change::Unit(Verb::Restart, unit)),
            'd' => self.preview_machine(machine, |_| MachineVerb::Drain),
            'c' => self.preview_machine(machine, |is_cordoned| match is_cordoned {
                Some(true) => MachineVerb::Uncordon,
                _ => MachineVerb::Cordon,
            }),
            'x' => self.with_machine(machine, Effect::WhatIf),
            's' => self.with_machine(machine, Effect::Shell),
            'u' if self.detail.is_none() => {
                if let Some(machine) = machine {
                    self.scope = Some(Scope::Machine(machine));
                    self.show(View::Units);
                }
                Vec::new()
            }
            '/' if self.detail.is_none() => {
                self.is_typing = true;
                Vec::new()
            }
            'o' if self.detail.is_none() => {
                self.sort();
                Vec::new()
            }
            '1'..='5' => {
                let ends = self.close_detail();
                let view = View::ALL.get((c as usize).saturating_sub('1' as usize)).copied().unwrap_or_default();
                self.scope = None;
                self.show(view);
                ends
            }
            _ => return None,
        })
    }

    /// Opens a page about the unit.
    fn page_of_unit(&mut self, page: Page) -> Vec<Effect> {
        let subject = self.subject();
        if subject.unit.is_none() {
            self.notice = Some("no unit is chosen".to_owned());
            return Vec::new();
        }
        if page == Page::Journal && subject.machine.is_none() {
            self.notice = Some("the unit is on no machine, so it has no journal".to_owned());
            return Vec::new();
        }
        if self.detail.is_some() { self.turn_to(page) } else { self.open_detail(subject, page) }
    }

    fn preview(&mut self, unit: Option<UnitName>, change: impl Fn(UnitName) -> Change) -> Vec<Effect> {
        let Some(unit) = unit else {
            self.notice = Some("no unit is chosen".to_owned());
            return Vec::new();
        };
        self.notice = Some("finding out what would be done…".to_owned());
        vec![Effect::Preview(change(unit))]
    }

    /// Previews a verb for the machine, which is found by whether the machine is cordoned.
    fn preview_machine(
        &mut self,
        machine: Option<MachineId>,
        verb: impl Fn(Option<bool>) -> MachineVerb,
    ) -> Vec<Effect> {
        let record = machine.and_then(|machine| self.snapshot()?.machines.get(&machine));
        let verb = verb(record.map(|record| record.cordoned || record.draining));
        let effects = self.with_machine(machine, |machine| Effect::Preview(Change::Machine(verb, machine)));
        if !effects.is_empty() {
            self.notice = Some("finding out what would be done…".to_owned());
        }
        effects
    }

    fn with_machine(&mut self, machine: Option<MachineId>, effect: impl Fn(MachineId) -> Effect) -> Vec<Effect> {
        let known = machine.filter(|id| self.snapshot().is_some_and(|snapshot| snapshot.machines.contains_key(id)));
        if known.is_none() {
            self.notice = Some("no machine is chosen".to_owned());
        }
        known.map(effect).into_iter().collect()
    }

    /// Goes back: from details to the list, then from a filter or a part of the units to all.
    fn back(&mut self) -> Vec<Effect> {
        if self.detail.is_some() {
            return self.close_detail();
        }
        match self.places.get_mut(&self.view) {
            Some(place) if !place.filter.is_empty() => {
                place.filter.clear();
                self.refilter();
            }
            _ => {
                let before = match self.scope.take() {
                    Some(Scope::Machine(_)) => View::Machines,
                    Some(Scope::Application(_)) => View::Applications,
                    None => return Vec::new(),
                };
                self.show(before);
            }
        }
        Vec::new()
    }

    /// Opens the details of the chosen row, or the units of the chosen application.
    fn enter(&mut self) -> Vec<Effect> {
        let subject = self.subject();
        if self.view == View::Applications && !subject.other.is_empty() {
            self.scope = Some(Scope::Application(subject.other));
            self.show(View::Units);
            return Vec::new();
        }
        match &subject {
            Subject { unit: Some(_), .. } => self.open_detail(subject, Page::Why),
            Subject { machine: Some(_), .. } => self.open_detail(subject, Page::Machine),
            _ => Vec::new(),
        }
    }

    fn turn(&mut self, forward: bool) -> Vec<Effect> {
        let Some(detail) = &self.detail else { return Vec::new() };
        let page = detail.further(if forward { 1 } else { detail.pages().len() - 1 });
        self.turn_to(page)
    }

    /// Shows a view.
    fn show(&mut self, view: View) {
        if view != View::Units {
            self.scope = None;
        }
        self.view = view;
        self.refresh();
    }

    /// Sorts by the next column, and after the last one as at first.
    fn sort(&mut self) {
        let columns = self.listing.header.len();
        if let Some(place) = self.places.get_mut(&self.view) {
            place.sort = Some(place.sort.map_or(0, |sort| sort + 1)).filter(|next| *next < columns);
        }
        self.refresh();
    }

    fn move_by(&mut self, key: Key) {
        let visible = self.visible_lines();
        if let Some(detail) = &mut self.detail {
            let last = self.body.len().saturating_sub(visible);
            detail.first = moved(key, detail.first, last, visible).unwrap_or(detail.first);
            return;
        }
        let (visible, columns) = (self.visible_rows(), self.listing.header.len());
        let Some(place) = self.places.get_mut(&self.view) else { return };
        match key {
            Key::Right => place.skipped = (place.skipped + 1).min(columns.saturating_sub(2)),
            Key::Left => place.skipped = place.skipped.saturating_sub(1),
            _ => {
                let last = place.shown.len().saturating_sub(1);
                if let Some(at) = moved(key, place.chosen, last, visible) {
                    place.choose(at, &self.listing, visible);
                }
            }
        }
    }
}

/// Returns the place to which a key moves from another; `None` if the key does not move.
fn moved(key: Key, at: usize, last: usize, page: usize) -> Option<usize> {
    let place = match key {
        Key::Up | Key::Char('k') => at.saturating_sub(1),
        Key::Down | Key::Char('j') => at + 1,
        Key::PageUp => at.saturating_sub(page.max(1)),
        Key::PageDown => at + page.max(1),
        Key::Home | Key::Char('g') => 0,
        Key::End | Key::Char('G') => last,
        _ => return None,
    };
    Some(place.min(last))
}
