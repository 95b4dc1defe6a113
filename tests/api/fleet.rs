//! fleet's API: bodies, statuses and messages are those of fleet 1.0.0.

use muster::core::model::DesiredState;
use muster::store::Op;
use serde_json::Value;
use serde_json::json;

use super::Served;
use crate::control::keys;
use crate::control::want;
use crate::wire::visit::MACHINE;

const SLEEP: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// Returns the options of a unit that sleeps.
fn sleeps(time: &str) -> Value {
    json!([{"section": "Service", "name": "ExecStart", "value": format!("/bin/sleep {time}")}])
}

#[tokio::test]
async fn a_unit_is_made_changed_and_destroyed() {
    let served = Served::start().await;
    let path = "/fleet/v1/units/hello.service";
    let wish = |state: &str| json!({"desiredState": state});
    assert_eq!(served.get(path).await.error(), (404, "unit does not exist".to_owned()));

    let made = served.put(path, &json!({"desiredState": "launched", "options": sleeps("1")})).await;
    assert_eq!((made.status, made.body.as_str()), (201, ""));
    let options = sleeps("1");
    let expected = json!({
        "name": "hello.service", "options": options, "desiredState": "launched", "currentState": "inactive",
    });
    assert_eq!(served.get(path).await.json(), expected, "the next answer has the change");

    for (state, desired) in [
        ("loaded", DesiredState::Loaded),
        ("inactive", DesiredState::Inactive),
        ("inactive", DesiredState::Inactive),
        ("launched", DesiredState::Launched),
    ] {
        assert_eq!(served.put(path, &wish(state)).await.status, 204);
        assert_eq!(served.desired("hello.service").await, Some(desired));
    }
    let same = json!({"name": "hello.service", "desiredState": "launched", "options": sleeps("1")});
    assert_eq!(served.put(path, &same).await.status, 204, "the file is the same");
    let replaced = served.put("/v1-alpha/units/hello.service", &json!({"options": sleeps("2")})).await;
    assert_eq!(replaced.status, 201);
    assert_eq!(served.get(path).await.json()["options"], sleeps("2"));
    assert_eq!(served.desired("hello.service").await, Some(DesiredState::Launched));

    assert_eq!(served.send(&format!("DELETE {path}?"), "", "").await.status, 204);
    assert_eq!(served.get("/fleet/v1/units").await.json(), json!({}));
    assert_eq!(served.send(&format!("DELETE {path}"), "", "").await.error().0, 404);
}

#[tokio::test]
async fn a_wrong_wish_is_refused_with_the_words_of_fleet() {
    let served = Served::start().await;
    served.cluster.store.commit(vec![], want("known.service", SLEEP)).await.unwrap();
    let json = "Content-Type: application/json; charset=utf-8\r\n";
    for (unit, head, body, status, message) in [
        ("known.service", "", "{}", 415, "expected 1 Content-Type, got 0"),
        (
            "known.service",
            "Content-Type: text/plain\r\n",
            "{}",
            415,
            "only acceptable Content-Type is application/json",
        ),
        (
            "known.service",
            "Content-Type: application/json\r\nContent-Type: application/json\r\n",
            "{}",
            415,
            "expected 1 Content-Type, got 2",
        ),
        ("known.service", json, "{", 400, "unable to decode body: EOF while parsing an object at line 1 column 1"),
        ("known.service", json, "7", 400, "unable to decode body: invalid type: integer `7`, expected struct Wish"),
        ("known.service", json, "{}", 409, "must provide DesiredState to update existing unit"),
        (
            "known.service",
            json,
            r#"{"name": "other.service"}"#,
            400,
            r#"name in URL "known.service" differs from unit name in request body "other.service""#,
        ),
        ("known.service", json, r#"{"desiredState": "up"}"#, 400, r#"invalid desiredState "up": expected "#),
        ("new.service", json, r#"{"desiredState": "loaded"}"#, 409, "unit does not exist and options field empty"),
        (
            "known.service",
            json,
            r#"{"desiredState": "loaded", "options": [{"section": "Service", "name": "ExecStart", "value": "/bin/b"}]}"#,
            409,
            "in state launched",
        ),
        ("new.servic", json, "{}", 400, r#"invalid unit type: "servic""#),
        ("new@.service", json, r#"{"desiredState": "launched"}"#, 400, r#"cannot activate template "new@.service""#),
        ("%2e%2e%2fpasswd", json, "{}", 400, "invalid"),
        (
            "new.service",
            json,
            r#"{"options": [{"section": "Unit", "name": "A", "value": "1\n[Service]\nExecStart=/bin/evil"}]}"#,
            400,
            "the option \"A\" = \"1\\n[Service]\\nExecStart=/bin/evil\" of section \"Unit\" is not one line",
        ),
        (
            "new.service",
            json,
            r#"{"options": [{"section": "X-Fleet", "name": "Conflicts", "value": "["}]}"#,
            400,
            "Unit new.service: [X-Fleet] ",
        ),
    ] {
        let answer = served.send(&format!("PUT /fleet/v1/units/{unit}"), head, body).await;
        let (found, text) = answer.error();
        assert!(found == status && text.contains(message), "{unit} {body}: {answer:?}");
        assert!(answer.head.contains("application/json"), "{answer:?}");
    }
    assert_eq!(served.desired("known.service").await, Some(DesiredState::Launched));
    assert_eq!(served.unit("new.service").await, None);
}

#[tokio::test]
async fn methods_and_paths_that_fleet_did_not_have_are_refused_as_there() {
    let served = Served::start().await;
    let only = |methods: &str| format!("only {methods} supported against this resource");
    for (line, status, message) in [
        ("POST /fleet/v1/units", 405, only("GET")),
        ("POST /fleet/v1/units/a.service", 405, only("GET, PUT and DELETE")),
        ("PATCH /fleet/v1/units/a.service", 405, only("GET, PUT and DELETE")),
        ("PUT /fleet/v1/machines", 405, only("GET")),
        ("DELETE /fleet/v1/machines", 405, only("GET")),
        (
            "PATCH /v1-alpha/machines",
            405,
            only("GET")
                + ": the metadata of a machine come from the inventory (muster_metadata), and `muster join` reads them",
        ),
        ("DELETE /fleet/v1/state", 405, only("GET")),
        ("PUT /fleet/v1/discovery", 400, only("HTTP GET")),
        ("GET /fleet/v1/units/", 404, String::new()),
        ("GET /fleet/v1/nothing", 404, String::new()),
        ("GET /fleet/v2/units", 404, "there is no such resource".to_owned()),
        ("POST /fleet/v1/state/a.service", 405, only("GET")),
        ("GET /fleet/v1/units/none.service", 404, "unit does not exist".to_owned()),
        ("DELETE /fleet/v1/units/none.service", 404, "unit does not exist".to_owned()),
        ("DELETE /fleet/v1/units/none", 404, "unit does not exist".to_owned()),
        ("GET /fleet/v1/state/none.service", 404, "unit state does not exist".to_owned()),
        ("GET /fleet/v1/units?nextPageToken=ZAAAAA==", 400, "token page must be greater than zero".to_owned()),
        ("GET /fleet/v1/state?nextPageToken=a&nextPageToken=b", 400, "too many values for page token".to_owned()),
        ("GET /fleet/v1/units?nextPageToken=", 400, "invalid page token \"\"".to_owned()),
        ("GET /fleet/v1/state?nextPageToken=%00", 400, "invalid page token \"\\0\"".to_owned()),
        ("GET /fleet/v1/machines?nextPageToken=EwBMLg==", 400, "token limit must be 100".to_owned()),
        ("GET /fleet/v1/machines?nextPageToken=ZQABAA==", 400, "token limit must be 100".to_owned()),
    ] {
        let answer = served.send(line, "", "").await;
        assert_eq!(answer.error(), (status, message), "{line}");
        assert!(answer.head.contains("content-type: application/json"), "{line}: {answer:?}");
    }
}

#[tokio::test]
async fn long_lists_come_in_pages() {
    let served = Served::start().await;
    let units: Vec<String> = (0..230).map(|number| format!("u{number:03}.service")).collect();
    for portion in units.chunks(40) {
        let ops: Vec<Op> =
            portion.iter().flat_map(|unit| want(unit, &format!("[Service]\nExecStart=/bin/{unit}\n"))).collect();
        served.cluster.store.commit(vec![], ops).await.unwrap();
    }
    let last = units.last().unwrap().parse().unwrap();
    assert!(served.view.until(std::time::Duration::from_secs(5), |it| it.unit(&last).is_some()).await);
    let (mut found, mut path) = (Vec::new(), "/fleet/v1/units".to_owned());
    loop {
        let page = served.get(&path).await.json();
        let entries = page["units"].as_array().unwrap();
        assert!(entries.len() <= 100);
        found.extend(entries.iter().map(|unit| unit["name"].as_str().unwrap().to_owned()));
        let Some(token) = page["nextPageToken"].as_str() else { break };
        path = format!("/fleet/v1/units?nextPageToken={token}");
    }
    assert_eq!(found, units);
}

#[tokio::test]
async fn machines_and_states_are_those_of_machines_that_are_there() {
    let served = Served::start().await;
    let id = MACHINE.to_owned();
    assert_eq!(
        served.get("/v1-alpha/machines").await.json(),
        json!({"machines": [{"id": id, "primaryIP": "192.0.2.1"}]})
    );
    assert_eq!(served.get("/fleet/v1/state").await.json(), json!({}));
    let doc = served.get("/fleet/v1/discovery").await.json();
    assert_eq!((&doc["rootUrl"], &doc["servicePath"]), (&json!("$ENDPOINT/"), &json!("fleet/v1/")));
    let key = keys().key(&muster::store::layout::Key::Machine(id.parse().unwrap()));
    served.cluster.store.commit(vec![], vec![Op::Delete(key)]).await.unwrap();
    let is_gone = |it: &muster::control::read_model::Published| it.snapshot().machines.is_empty();
    assert!(served.view.until(std::time::Duration::from_secs(5), is_gone).await);
    assert_eq!(served.get("/fleet/v1/machines").await.json(), json!({}));
}
