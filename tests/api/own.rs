//! muster's own API.

use std::sync::Arc;
use std::time::Duration;

use muster::core::model::DesiredState;
use muster::store::Credentials;
use serde_json::json;

use super::Served;
use crate::control::Folder;
use crate::control::context;
use crate::control::found;
use crate::store::server::Server;
use crate::store::server::installed;
use crate::store::skip;
use crate::wire::visit::MACHINE;

#[tokio::test]
async fn a_unit_is_submitted_started_and_explained() {
    let served = Served::start().await;
    let path = "/api/v1/unit-files/web.service";
    let text = "[Service]\nExecStart=/bin/sleep 1\n";
    let made = served.put(path, &json!({"text": text})).await;
    assert_eq!((made.status, &made.json()["desired"]), (201, &json!("inactive")));
    assert_eq!(served.get(path).await.body, text);
    let started = served.send("POST /api/v1/units/web.service/start", "", "").await;
    assert_eq!((started.status, started.json()), (202, json!({"unit": "web.service", "verb": "start"})));
    assert_eq!(served.desired("web.service").await, Some(DesiredState::Launched));
    let why = served.get("/api/v1/units/web.service/why").await.json();
    assert_eq!((&why["unit"], &why["desired"]), (&json!("web.service"), &json!("launched")), "{why}");
    let files = served.get("/api/v1/unit-files").await.json();
    assert_eq!((files[0]["unit"].as_str(), files[0]["dstate"].as_str()), (Some("web.service"), Some("launched")));
    let replaced = served.put(path, &json!({"text": "[Service]\nExecStart=/bin/sleep 2\n"})).await;
    assert_eq!((replaced.status, &replaced.json()["desired"]), (200, &json!("launched")));
    assert_eq!(served.send("POST /api/v1/units/web.service/destroy", "", "").await.status, 202);
    assert_eq!(served.unit("web.service").await, None);
}

#[tokio::test]
async fn who_did_it_is_in_the_event_log() {
    let served = Served::start().await;
    served.put("/api/v1/unit-files/web.service", &json!({"text": "[Service]\nExecStart=/bin/true\n"})).await;
    served.send("POST /api/v1/units/web.service/start", "", "").await;
    assert!(served.view.until(Duration::from_secs(5), |it| it.events.end() >= 2).await);
    let events = served.get("/api/v1/events?lines=1").await.json();
    let actor = events[0]["subject"]["actor"].as_str().unwrap().to_owned();
    let me = muster::accounts::own().map_or_else(|| "?".to_owned(), |account| account.name);
    assert!(actor.starts_with(&format!("{me}@")), "{events}");
}

#[tokio::test]
async fn what_does_not_exist_is_told() {
    let served = Served::start().await;
    let message = |answer: super::Answer| answer.error();
    for (line, status, text) in [
        ("GET /api/v1/units/none.service/why", 404, "Unit none.service does not exist"),
        ("POST /api/v1/units/none.service/start", 404, "Unit none.service does not exist"),
        ("POST /api/v1/units/none.service/stop", 404, "Unit none.service does not exist"),
        ("POST /api/v1/units/none.service/destroy", 404, "Unit none.service does not exist"),
        ("POST /api/v1/units/none.service/fly", 404, "there is no verb \"fly\": expected one of start, stop, "),
        ("GET /api/v1/unit-files/none.service", 404, "Unit none.service does not exist"),
        ("GET /api/v1/machines/none", 404, "none"),
        ("GET /api/v1/nothing", 404, "/api/v1/openapi.json lists"),
        ("DELETE /api/v1/units", 405, "does not know the method"),
        ("GET /api/v1/units/no%20name/why", 400, "no name"),
    ] {
        let (code, said) = message(served.send(line, "", "").await);
        assert!(code == status && said.contains(text), "{line}: {code} {said}");
    }
}

#[tokio::test]
async fn machines_and_the_cluster_are_shown_as_the_commands_show_them() {
    let served = Served::start().await;
    let machines = served.get("/api/v1/machines").await.json();
    assert_eq!((&machines[0]["name"], &machines[0]["machine"]), (&json!("core-01"), &json!(MACHINE)));
    assert_eq!(served.get("/api/v1/machines/core-01").await.json()["machine"]["name"], "core-01");
    let cluster = served.get("/api/v1/cluster").await.json();
    assert_eq!((&cluster["machines"], &cluster["leader"], &cluster["stale"]), (&json!(1), &json!(null), &json!(null)));
    for list in ["units", "applications", "events"] {
        assert_eq!(served.get(&format!("/api/v1/{list}")).await.json(), json!([]), "{list}");
    }
    let metrics = served.get("/metrics").await;
    assert!(metrics.head.contains("text/plain; version=0.0.4"), "{}", metrics.head);
    assert!(metrics.body.contains("\nmuster_has_leader 0.0\n"), "{}", metrics.body);
}

#[tokio::test]
async fn a_machine_is_cordoned_and_drained() {
    let served = Served::start().await;
    for (verb, cordoned, draining) in [("cordon", true, false), ("drain", true, true), ("uncordon", false, false)] {
        let answer = served.send(&format!("POST /api/v1/machines/core-01/{verb}"), "", "").await;
        let machine = json!({"machine": MACHINE, "name": "core-01", "cordoned": cordoned, "draining": draining});
        assert_eq!((answer.status, answer.json()), (202, machine), "{verb}");
        let listed = served.get("/api/v1/machines").await.json();
        assert_eq!((&listed[0]["cordoned"], &listed[0]["draining"]), (&json!(cordoned), &json!(draining)), "{verb}");
    }
    let missing = served.send("POST /api/v1/machines/none/cordon", "", "").await;
    assert_eq!(missing.error().0, 404);
    let wrong = served.send("POST /api/v1/machines/core-01/reboot", "", "").await;
    let why = "there is no verb \"reboot\": expected one of cordon, uncordon, drain";
    assert_eq!(wrong.error(), (404, why.to_owned()));
}

#[tokio::test]
async fn a_plan_and_a_simulation_change_nothing() {
    let served = Served::start().await;
    served.put("/api/v1/unit-files/web.service", &json!({"text": "[Service]\nExecStart=/bin/true\n"})).await;
    served.send("POST /api/v1/units/web.service/start", "", "").await;
    let plan = served.get("/api/v1/plan").await.json();
    assert_eq!(
        (&plan["moves"][0]["unit"], &plan["moves"][0]["to"]),
        (&json!("web.service"), &json!(MACHINE)),
        "{plan}"
    );
    let down = served.get("/api/v1/simulate?down=core-01").await.json();
    assert_eq!(down["unschedulable"][0]["unit"], "web.service", "{down}");
    assert_eq!(served.get("/api/v1/placements").await.json(), json!({}));
    for (query, status, text) in
        [("", 400, "?down=MACHINE"), ("?down=none", 404, "none"), ("?up=core-01", 400, "there is no parameter \"up\"")]
    {
        let (code, said) = served.get(&format!("/api/v1/simulate{query}")).await.error();
        assert!(code == status && said.contains(text), "{query}: {code} {said}");
    }
}

#[tokio::test]
async fn a_plan_says_what_follows_from_one_change() {
    let served = Served::start().await;
    let submission = json!({"text": "[Service]\nExecStart=/bin/true\n"});
    served.put("/api/v1/unit-files/web.service", &submission).await;
    let start = served.get("/api/v1/plan?start=web.service").await.json();
    assert_eq!(
        (&start["moves"][0]["unit"], &start["moves"][0]["to"], &start["pending"]),
        (&json!("web.service"), &json!(MACHINE), &json!(0)),
        "{start}"
    );
    assert_eq!(served.desired("web.service").await, Some(DesiredState::Inactive));
    served.send("POST /api/v1/units/web.service/start", "", "").await;
    // The leader takes these steps anyway, so they do not follow from another start.
    let again = served.get("/api/v1/plan?start=web.service").await.json();
    assert_eq!((&again["steps"], &again["pending"]), (&json!([]), &json!(2)), "{again}");
    let cordon = served.get("/api/v1/plan?cordon=core-01").await.json();
    assert_eq!(cordon["unschedulable"][0]["unit"], "web.service", "{cordon}");
    for (query, status, text) in [
        ("start=none.service", 404, "Unit none.service does not exist"),
        ("drain=none", 404, "none"),
        ("fly=web.service", 400, "there is no parameter \"fly\": expected one of start, stop, "),
        ("start=web.service&stop=web.service", 400, "name one change: ?VERB=NAME"),
    ] {
        let (code, said) = served.get(&format!("/api/v1/plan?{query}")).await.error();
        assert!(code == status && said.contains(text), "{query}: {code} {said}");
    }
}

#[tokio::test]
async fn the_overview_has_each_unit_and_the_index_of_its_machine() {
    let served = Served::start().await;
    let text = "[Unit]\nDescription=Web\n[Service]\nExecStart=/bin/true\n[X-Muster]\nApplication=shop\n";
    served.put("/api/v1/unit-files/web.service", &json!({"text": text})).await;
    let overview = served.get("/api/v1/overview").await.json();
    assert_eq!(overview["machines"][0]["name"], "core-01");
    let unit = json!({"unit": "web.service", "desired": "inactive", "application": "shop", "description": "Web"});
    assert_eq!(overview["units"], json!([unit]));
    assert_eq!(overview["cluster"]["machines"], 1);
    let session = served.get("/api/v1/session").await.json();
    assert_eq!((&session["role"], &session["carries_out"]), (&json!("operate"), &json!(false)), "{session}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_go_on_while_the_store_does_not_answer_and_say_so() {
    if !installed() {
        return skip("etcd is not installed");
    }
    let mut server = Server::start(&[]);
    let location = format!("etcd://{}", server.address());
    let opened = async || muster::store::open(&location, &Credentials::default()).await;
    let store = loop {
        match opened().await {
            Ok(store) if store.get("/ready").await.is_ok() => break store,
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    found(&store, &[]).await;
    let served = Served::serve(context(&store, &Arc::new(Folder::new())));
    assert!(served.view.until(Duration::from_secs(10), |it| it.is_read).await);
    assert!(!served.get("/api/v1/machines").await.head.contains("muster-stale-since"));
    server.kill();
    assert!(served.view.until(Duration::from_secs(20), |it| it.stale.is_some()).await);
    let stale = served.get("/api/v1/machines").await;
    assert!(stale.head.contains("muster-stale-since: ") && stale.json()[0]["name"] == "core-01", "{stale:?}");
    assert!(served.get("/api/v1/cluster").await.json()["stale"]["why"].is_string());
    let submission = json!({"text": "[Service]\nExecStart=/bin/true\n"});
    assert_eq!(served.put("/api/v1/unit-files/a.service", &submission).await.status, 503);
    let wish = json!({"options": [{"section": "Service", "name": "ExecStart", "value": "/bin/true"}]});
    assert_eq!(served.put("/fleet/v1/units/a.service", &wish).await.status, 503);
    server.run();
    assert!(served.view.until(Duration::from_secs(30), |it| it.stale.is_none()).await);
    assert!(!served.get("/api/v1/machines").await.head.contains("muster-stale-since"));
}
