//! Operations of clients: refusals, progress and the end.

use serde_json::json;

use super::Served;
use crate::store::soon;

#[tokio::test]
async fn an_operation_waits_for_a_controller_and_says_that_none_leads() {
    let served = Served::start().await;
    let file = json!({"text": "[Service]\nExecStart=/bin/true\n"});
    served.put("/api/v1/unit-files/web.service", &file).await;
    let wish = json!({"verb": "start", "units": ["web.service"], "wait": 0});
    let begun = served.post("/api/v1/operations", &wish).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let begun = begun.json();
    let (id, by) = (begun["id"].as_str().unwrap(), begun["by"].as_str().unwrap());
    assert!(by.ends_with(" (API)"), "{by}");
    // The stream ends with the operation.
    let stream = soon(served.send(&format!("GET /api/v1/operations/{id}"), "Accept: text/event-stream\r\n", "")).await;
    assert!(stream.body.contains("event: end"), "{}", stream.body);
    let ended = served.get(&format!("/api/v1/operations/{id}")).await.json();
    let error = ended["error"].as_str().unwrap();
    assert!(error.contains("no controller leads") && ended["ended_at"].is_number(), "{ended}");
    assert_eq!(served.desired("web.service").await, Some(muster::core::model::DesiredState::Launched));
    assert_eq!(served.get("/api/v1/operations").await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_operation_that_makes_no_sense_is_refused_before_anything_is_done() {
    let served = Served::start().await;
    let refused = async |wish| served.post("/api/v1/operations", &wish).await.error();
    let (status, why) = refused(json!({"verb": "start", "units": []})).await;
    assert_eq!((status, why.as_str()), (400, "expected 1 to 1000 units, got 0"));
    assert_eq!(refused(json!({"verb": "start", "units": ["no.service"]})).await.0, 404);
    assert_eq!(refused(json!({"verb": "explode", "units": ["no.service"]})).await.0, 404);
    assert_eq!(refused(json!({"verb": "start", "units": ["../x"]})).await.0, 400);
    assert_eq!(refused(json!({"verb": "start", "units": ["a.service"], "force": true})).await.0, 400);
    assert_eq!(served.get("/api/v1/operations/1-1").await.error().0, 404);
    assert_eq!(served.get("/api/v1/operations").await.json(), json!([]));
}

#[tokio::test]
async fn too_many_operations_at_once_are_refused() {
    let served = Served::start().await;
    let file = json!({"text": "[Service]\nExecStart=/bin/true\n"});
    served.put("/api/v1/unit-files/web.service", &file).await;
    let wish = json!({"verb": "start", "units": ["web.service"], "wait": 600});
    for _ in 0..32 {
        assert_eq!(served.post("/api/v1/operations", &wish).await.status, 202);
    }
    let (status, why) = served.post("/api/v1/operations", &wish).await.error();
    assert!(status == 429 && why.contains("32 operations are under way"), "{why}");
}
