//! Draws the application. Only the rows that are visible become cells.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;
use ratatui::style::Modifier;
use ratatui::style::Style;
use ratatui::widgets::Block;
use ratatui::widgets::Clear;
use ratatui::widgets::Widget as _;

use super::app::App;
use super::app::FOOT;
use super::app::HEAD;
use super::app::Popup;
use super::help;
use super::rows::Row;
use super::rows::View;
use super::text;
use crate::ui::terminal::Tone;

/// The smallest terminal that shows anything.
const SMALLEST: (u16, u16) = (40, 8);

/// The blanks between two columns.
const GAP: usize = 2;

/// The widest column that is not the last one.
const WIDEST: usize = 40;

/// Draws the application.
pub fn draw(app: &App, frame: &mut Frame<'_>) {
    let area = frame.area();
    let pen = Pen { has_color: app.has_color };
    let buffer = frame.buffer_mut();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let (width, height) = (area.width, area.height);
        let said = format!("too small: {width}×{height}; muster top needs {}×{}", SMALLEST.0, SMALLEST.1);
        for (line, y) in text::wrap(&said, width.into()).iter().zip(area.top()..area.bottom()) {
            put(buffer, (area.x, y), line, width, Style::new());
        }
        return;
    }
    head(app, pen, buffer, area);
    if app.detail.is_some() {
        details(app, buffer, area);
    } else {
        list(app, pen, buffer, area);
    }
    foot(app, buffer, area);
    if let Some(popup) = &app.popup {
        over(app, popup, buffer, area);
    }
}

/// Chooses styles.
#[derive(Debug, Clone, Copy)]
struct Pen {
    has_color: bool,
}

impl Pen {
    fn tone(self, tone: Option<Tone>) -> Style {
        let style = if tone == Some(Tone::Error) { bold() } else { Style::new() };
        match tone.filter(|_| self.has_color) {
            Some(Tone::Good) => style.fg(Color::Green),
            Some(Tone::Warning) => style.fg(Color::Yellow),
            Some(Tone::Error) => style.fg(Color::Red),
            None => style,
        }
    }
}

/// Writes one line, cut at a width. A cut text ends in an ellipsis.
fn put(buffer: &mut Buffer, at: (u16, u16), line: &str, width: u16, style: Style) {
    let room = buffer.area.right().saturating_sub(at.0).min(width);
    if room == 0 || !buffer.area.contains(at.into()) {
        return;
    }
    let (end, _) = buffer.set_stringn(at.0, at.1, line, room.into(), style);
    if text::width(line) > usize::from(room) {
        let last = at.0 + room - 1;
        buffer.set_stringn(last.min(end), at.1, "…", 1, style);
    }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn reversed() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

/// The lines about the cluster, and the views or the pages.
fn head(app: &App, pen: Pen, buffer: &mut Buffer, area: Rect) {
    let Rect { x, y, width, .. } = area;
    put(buffer, (x, y), &format!("muster top: {}", app.name), width, bold());
    put(buffer, (x, y + 1), &app.summary(), width, Style::new());
    let (leadership, tone) = app.leadership();
    put(buffer, (x, y + 2), &leadership, width, pen.tone(tone));
    pages(app, buffer, area);
}

/// The line with the names of the views, or of the pages about one unit or machine.
fn pages(app: &App, buffer: &mut Buffer, area: Rect) {
    let Rect { x, y, .. } = area;
    let (names, chosen, rest) = if let (Some(detail), Some(cluster)) = (&app.detail, &app.cluster) {
        let names: Vec<String> = detail.pages().iter().map(|page| page.title().to_owned()).collect();
        (names, detail.pages().iter().position(|page| *page == detail.page), detail.name(cluster))
    } else {
        let names = View::ALL.iter().zip(1..).map(|(view, number)| format!("{number} {}", view.title()));
        (names.collect(), View::ALL.iter().position(|view| *view == app.view), app.shown())
    };
    let mut at = x;
    for (number, name) in names.iter().enumerate() {
        let is_chosen = Some(number) == chosen;
        let label = if is_chosen { format!("[{name}]") } else { format!(" {name} ") };
        let style = if is_chosen { bold() } else { Style::new() };
        put(buffer, (at, y + 3), &label, area.right().saturating_sub(at), style);
        at = at.saturating_add(columns(&label));
    }
    put(buffer, (at + 1, y + 3), &rest, area.right().saturating_sub(at + 1), Style::new());
}

fn columns(line: &str) -> u16 {
    text::width(line).try_into().unwrap_or(u16::MAX)
}

/// The part of the screen between the head and the foot.
fn middle(area: Rect, head: u16) -> Rect {
    let height = area.height.saturating_sub(head + FOOT);
    Rect { y: area.y + head, height, ..area }
}

/// The header and the visible rows of a list.
fn list(app: &App, pen: Pen, buffer: &mut Buffer, area: Rect) {
    let Some(place) = app.place() else { return };
    let rows = middle(area, HEAD);
    let spans = spans(&app.listing.widths, place.skipped, area.width.into());
    for (column, start, width) in &spans {
        let name = app.listing.header.get(*column).copied().unwrap_or_default();
        let is_sorted = place.sort == Some(*column);
        let style = if is_sorted { bold().add_modifier(Modifier::UNDERLINED) } else { bold() };
        put(buffer, (area.x + start, rows.y - 1), name, *width, style);
    }
    if place.shown.is_empty() {
        return put(buffer, (area.x, rows.y), app.nothing(), area.width, Style::new());
    }
    let visible = place.shown.iter().enumerate().skip(place.first).zip(rows.top()..rows.bottom());
    for ((number, at), y) in visible {
        if let Some(row) = app.listing.rows.get(*at) {
            line(row, &spans, number == place.chosen, pen, buffer, (area, y));
        }
    }
}

/// One row of a list.
fn line(row: &Row, spans: &[(usize, u16, u16)], is_chosen: bool, pen: Pen, buffer: &mut Buffer, at: (Rect, u16)) {
    let (area, y) = at;
    for (column, start, width) in spans {
        let tone = row.tones.iter().find(|(at, _)| at == column).map(|(_, tone)| *tone);
        let cell = row.cells.get(*column).map_or("", String::as_str);
        put(buffer, (area.x + start, y), cell, *width, pen.tone(tone));
    }
    if is_chosen {
        buffer.set_style(Rect { y, height: 1, ..area }, reversed());
    }
}

/// Returns the columns that fit, each with its first column on the terminal and its width. The last one takes the rest.
fn spans(widths: &[usize], skipped: usize, room: usize) -> Vec<(usize, u16, u16)> {
    let mut spans = Vec::new();
    let mut start = 0;
    for (column, width) in widths.iter().enumerate().filter(|(column, _)| *column == 0 || *column > skipped) {
        let is_last = column + 1 == widths.len();
        if start >= room {
            break;
        }
        let width = if is_last { room - start } else { (*width).min(WIDEST).min(room - start) };
        let narrow = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        spans.push((column, narrow(start), narrow(width)));
        start += width + GAP;
    }
    spans
}

/// The visible lines of a page.
fn details(app: &App, buffer: &mut Buffer, area: Rect) {
    let lines = middle(area, HEAD - 1);
    let first = app.detail.as_ref().map_or(0, |detail| detail.first);
    for (line, y) in app.body.iter().skip(first).zip(lines.top()..lines.bottom()) {
        put(buffer, (area.x, y), line, area.width, Style::new());
    }
}

/// The filter, a notice or the keys.
fn foot(app: &App, buffer: &mut Buffer, area: Rect) {
    let filter = app.place().map(|place| place.filter.as_str()).filter(|_| app.detail.is_none()).unwrap_or_default();
    let line = match &app.notice {
        _ if app.is_typing => format!("/{filter}_   Enter keep  Esc remove"),
        Some(notice) => notice.clone(),
        None if !filter.is_empty() => format!("/{filter}   Esc removes the filter  ? all keys  q quit"),
        None if app.detail.is_some() => help::OF_DETAILS.to_owned(),
        None => help::OF_LISTS.to_owned(),
    };
    let y = area.bottom().saturating_sub(FOOT);
    put(buffer, (area.x, y), &line, area.width, bold());
}

/// A text in a box.
fn over(app: &App, popup: &Popup, buffer: &mut Buffer, area: Rect) {
    let (most_columns, most_lines) = app.popup_size();
    let keys = if popup.question.is_some() { help::OF_QUESTIONS } else { help::OF_TEXTS };
    let widest = popup.lines.iter().map(|line| text::width(line)).max().unwrap_or_default();
    let width = widest.max(text::width(&popup.title)).max(text::width(keys)).min(most_columns);
    let height = popup.lines.len().min(most_lines);
    let narrow = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    let (width, height) = (narrow(width) + 4, narrow(height) + 2);
    let box_area = Rect {
        x: area.x + area.width.saturating_sub(width) / 2,
        y: area.y + area.height.saturating_sub(height) / 2,
        width,
        height,
    }
    .intersection(area);
    Clear.render(box_area, buffer);
    Block::bordered().render(box_area, buffer);
    let inner = box_area.width.saturating_sub(4);
    put(buffer, (box_area.x + 2, box_area.y), &popup.title, inner, bold());
    put(buffer, (box_area.x + 2, box_area.bottom().saturating_sub(1)), keys, inner, bold());
    let rows = (box_area.y + 1)..box_area.bottom().saturating_sub(1);
    for (line, y) in popup.lines.iter().skip(popup.first).zip(rows) {
        put(buffer, (box_area.x + 2, y), line, inner, Style::new());
    }
}
