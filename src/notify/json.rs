//! The JSON of a message: what webhooks and commands get. docs/alerts.md describes it.

use serde_json::Value;
use serde_json::json;

use crate::core::alert::Message;
use crate::core::alert::Notice;

/// Returns the document of a message.
pub(super) fn document(message: &Message) -> Value {
    json!({
        "id": message.id,
        "status": message.status.word(),
        "cluster": message.cluster,
        "at": message.at,
        "title": message.title(),
        "text": message.text(),
        "incidents": message.incidents.iter().map(incident).collect::<Vec<Value>>(),
        "omitted": message.omitted,
    })
}

fn incident(notice: &Notice) -> Value {
    json!({
        "id": notice.id,
        "kind": notice.kind,
        "machine": notice.machine,
        "unit": notice.unit,
        "since": notice.since,
        "ended": notice.ended,
        "text": notice.text,
    })
}
