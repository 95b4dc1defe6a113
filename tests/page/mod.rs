//! The page in a real browser. One Chromium carries all of it out, one part after the other: to start it takes longer than a part.

mod browser;
mod cluster;
mod large;
mod pictures;
mod service;

use muster::core::model::DesiredState;
use muster::core::model::Event;
use muster::core::model::EventKind;
use muster::core::model::Machine;
use muster::core::model::MachineId;
use muster::core::model::Unit;
use muster::core::model::Verb;
use muster::store::SharedStore;
use muster::store::layout::Key;
use serde_json::json;

use crate::control::keys;
use crate::store::skip;
use browser::Browser;
use service::Service;

const MACHINES: usize = 12;
const UNITS: usize = 48;

/// A unit that runs, and one that has failed.
const RUNS: &str = "shop-web@1.service";
const FAILED: &str = "search-index@2.service";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_the_cluster_and_changes_it() {
    if !browser::installed() {
        return skip("Chromium is not installed (Debian packages chromium and chromium-driver)");
    }
    let browser = Browser::start().await;
    let mut service = Service::start(MACHINES, UNITS).await;
    the_address_works_once(&browser, &service).await;
    the_lists_show_states_as_text(&browser, &service).await;
    lists_are_filtered_and_sorted(&browser, &service).await;
    everything_is_reached_with_the_keyboard(&browser, &service).await;
    a_machine_and_a_unit_are_explained(&browser, &service).await;
    a_question_is_answered_without_a_change(&browser, &service).await;
    each_action_shows_its_plan_first(&browser, &service).await;
    events_and_changes_come_by_themselves(&browser, &service).await;
    texts_of_hosts_are_no_markup(&browser, &service).await;
    a_phone_and_a_dark_desk_are_served_well(&browser, &service).await;
    a_store_that_is_away_makes_the_page_stale(&browser, &service).await;
    asked_for_nothing_elsewhere(&browser, &service).await;
    a_page_goes_on_when_its_service_returns(&browser, &mut service).await;
    drop(service);
    a_client_that_may_only_read_is_offered_no_action(&browser).await;
    browser.end().await;
}

/// Reports whether the console says that the service has no journals, or no such machine.
fn is_expected(line: &str) -> bool {
    line.contains("404 (Not Found)") || line.contains("405 (Method Not Allowed)")
}

async fn record<T: serde::de::DeserializeOwned>(store: &SharedStore, key: Key) -> T {
    let entry = store.get(&keys().key(&key)).await.unwrap().unwrap();
    serde_json::from_slice(&entry.value).unwrap()
}

async fn desired(store: &SharedStore, unit: &str) -> DesiredState {
    record::<Unit>(store, Key::Unit(unit.parse().unwrap())).await.desired
}

async fn the_address_works_once(browser: &Browser, service: &Service) {
    browser.open(&service.address).await;
    browser.until("document.querySelectorAll('.grid-machines .row:not([hidden])').length === 12").await;
    assert_eq!(browser.get("location.hash").await, json!("#/machines"), "the key is not left in the history");
    assert_eq!(browser.get("document.cookie").await, json!(""));
    // Another window, with the same address.
    let token = browser.get("sessionStorage.getItem('muster-token')").await;
    browser.run("sessionStorage.clear()").await;
    browser.open("about:blank").await;
    browser.open(&service.address).await;
    browser.shows("this address was used already").await;
    // A token is taken as well.
    browser.click("#token").await;
    browser.type_text(token.as_str().unwrap()).await;
    browser.press(&["Enter"]).await;
    browser.until("document.querySelectorAll('.grid-machines .row:not([hidden])').length === 12").await;
    browser.run("location.reload()").await;
    browser.until("document.querySelector('#connection-text')?.textContent === 'Live'").await;
    let refused = browser.console().await;
    assert!(refused.iter().all(|line| line.contains("401 (Unauthorized)")), "{refused:?}");
}

async fn the_lists_show_states_as_text(browser: &Browser, service: &Service) {
    browser.open(&service.at("machines")).await;
    browser.shows("ams-01").await;
    let row = |name: &str| {
        format!("[...document.querySelectorAll('.row')].find((row) => row.innerText.startsWith('{name}'))")
    };
    let down = browser.get(&format!("{}.innerText.split('\\n').join(' ')", row("fra-02"))).await;
    let down = down.as_str().unwrap();
    assert!(down.contains("down") && down.contains("no answer for 94 s; connect: the host does not answer"), "{down}");
    let cordoned = browser.get(&format!("{}.innerText", row("fra-03"))).await;
    assert!(cordoned.as_str().unwrap().contains("cordoned"), "{cordoned}");
    assert!(browser.text("#leader").await.contains("controller on control-1 leads"));
    assert!(browser.text("#caller").await.ends_with("may operate"));
    browser.click("#nav [data-view=units]").await;
    browser.until("document.querySelector('.grid-units').getAttribute('aria-rowcount') === '49'").await;
    browser.shows("running").await;
    browser.open(&service.at("units?q=search-index")).await;
    browser.until("document.querySelector('.grid-units').getAttribute('aria-rowcount') === '5'").await;
    let failed = browser.get(&format!("{}.innerText.split('\\n').join(' ')", row(FAILED))).await;
    assert!(failed.as_str().unwrap().contains("failed (failed)"), "{failed}");
    browser.click("#nav [data-view=applications]").await;
    browser.shows("billing").await;
    let search = browser.get(&format!("{}.innerText", row("search"))).await;
    assert!(search.as_str().unwrap().contains("search-index@2.service"), "what does not run: {search}");
    browser.click("#nav [data-view=problems]").await;
    browser.until("document.querySelectorAll('.grid-problems .row:not([hidden])').length > 2").await;
    browser.shows("no space left on /run").await;
    browser.click("#nav [data-view=events]").await;
    browser.shows("restart asked for by ada@desk").await;
    let first = browser.text(".grid-events .row").await;
    assert!(first.contains("runs again"), "the latest event comes first: {first}");
}

async fn lists_are_filtered_and_sorted(browser: &Browser, service: &Service) {
    browser.open(&service.at("units")).await;
    browser.click("#units-filter").await;
    browser.type_text("search index").await;
    browser.until("document.querySelector('.view .count').textContent === '4 of 48'").await;
    assert_eq!(browser.get("location.hash").await, json!("#/units?q=search+index"));
    browser.click(".chip.bad").await;
    browser.until("document.querySelector('.view .count').textContent === '1 of 48'").await;
    assert_eq!(browser.text(".grid-units .row .name").await, FAILED);
    // A link shows the same list.
    browser.open("about:blank").await;
    browser.open(&service.at("units?q=search+index&state=failed+%28failed%29")).await;
    browser.until("document.querySelector('.view .count').textContent === '1 of 48'").await;
    browser.open(&service.at("units?q=nothing-like-it")).await;
    browser.shows("No unit matches.").await;
    browser.open(&service.at("units")).await;
    browser.click(".grid-units [role=columnheader]:nth-child(2) button").await;
    browser.until("document.querySelector('.grid-units .row .badge').textContent.includes('failed')").await;
    let sort = "document.querySelector('.grid-units [role=columnheader]:nth-child(2)').getAttribute('aria-sort')";
    assert_eq!(browser.get(sort).await, json!("ascending"));
}

async fn everything_is_reached_with_the_keyboard(browser: &Browser, service: &Service) {
    browser.open("about:blank").await;
    browser.open(&service.at("machines")).await;
    browser.shows("ams-01").await;
    browser.press(&["g", "u"]).await;
    browser.until("location.hash === '#/units'").await;
    browser.press(&["/"]).await;
    browser.type_text("shop-web").await;
    browser.press(&["Enter", "ArrowDown", "Enter"]).await;
    browser.until("document.querySelector('#panel-title')?.textContent === 'shop-web@2.service'").await;
    let active = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))";
    assert_eq!(browser.get(&format!("{active}.getAttribute('aria-rowindex')")).await, json!("3"));
    assert_eq!(browser.get(&format!("{active}.getAttribute('aria-selected')")).await, json!("true"));
    browser.press(&["Escape"]).await;
    browser.until("document.querySelector('#details').hidden").await;
    browser.press(&["?"]).await;
    browser.shows("Filter the list").await;
    browser.press(&["Escape"]).await;
    browser.until("!document.querySelector('dialog')").await;
    // The first stop leads past the navigation, and the focus is always seen.
    browser.open("about:blank").await;
    browser.open(&service.at("machines")).await;
    browser.shows("ams-01").await;
    browser.press(&["Tab"]).await;
    assert_eq!(browser.get("document.activeElement.id").await, json!("skip"));
    assert_ne!(browser.get("getComputedStyle(document.activeElement).outlineStyle").await, json!("none"));
    browser.press(&["Enter"]).await;
    assert_eq!(browser.get("document.activeElement.getAttribute('role')").await, json!("grid"));
    let nameless = "[...document.querySelectorAll('button, a, input')].filter((it) => !(it.innerText.trim() || it.getAttribute('aria-label') || it.labels?.length)).map((it) => it.outerHTML)";
    assert_eq!(browser.get(nameless).await, json!([]), "each control has a name");
}

async fn a_machine_and_a_unit_are_explained(browser: &Browser, service: &Service) {
    browser.open(&service.at("machines/fra-02")).await;
    browser.shows("Machine-id").await;
    let panel = browser.text("#details").await;
    for part in
        ["down", "no answer for 94 s", "Debian GNU/Linux 13 (trixie), systemd 257", "role=compute", "Latest events"]
    {
        assert!(panel.to_lowercase().contains(&part.to_lowercase()), "{part}: {panel}");
    }
    browser.open(&service.at(&format!("units/{FAILED}"))).await;
    browser.shows("Because").await;
    let panel = browser.text("#details").await;
    for part in ["failed (failed)", "launched", "fewest units", "Search index"] {
        assert!(panel.contains(part), "{part}: {panel}");
    }
    browser.run("document.querySelector('#tab-why').focus()").await;
    browser.press(&["ArrowRight"]).await;
    browser.shows("ExecStart=/opt/search/bin/search-index --listen :8080").await;
    let tab = "document.querySelector('#tab-file').getAttribute('aria-selected')";
    assert_eq!(browser.get(tab).await, json!("true"));
    browser.press(&["ArrowRight"]).await;
    browser.shows("search-index: cannot open the index").await;
    browser.click(".close").await;
    browser.until("document.querySelector('#details').hidden && location.hash === '#/units'").await;
}

async fn a_question_is_answered_without_a_change(browser: &Browser, service: &Service) {
    browser.open(&service.at("machines/ams-01")).await;
    browser.click("#details .button").await;
    browser.shows("If ams-01 died, ").await;
    browser.until("document.querySelectorAll('.result tbody tr').length > 3").await;
    browser.click("#what-if-machine").await;
    browser.type_text("nowhere").await;
    browser.press(&["Enter"]).await;
    browser.shows("no machine is called \"nowhere\"").await;
    browser.click("[aria-label='Remove nowhere']").await;
    browser.shows("If ams-01 died, ").await;
    assert_eq!(record::<Machine>(&service.store, Key::Machine(machine(service, "ams-01"))).await.name, "ams-01");
    let console = browser.console().await;
    assert!(console.iter().all(|line| is_expected(line)), "{console:?}");
}

fn machine(service: &Service, name: &str) -> MachineId {
    let snapshot = service.view.now().snapshot();
    snapshot.machines.values().find(|machine| machine.name == name).unwrap().id
}

/// Asks for an action, reads its plan, and confirms it.
async fn act(browser: &Browser, verb: &str, plan: &str) {
    browser.click(&format!("[data-verb={verb}]")).await;
    browser
        .until("document.querySelector('dialog .primary') && !document.querySelector('dialog .primary').disabled")
        .await;
    let said = browser.text("dialog").await;
    assert!(said.contains(plan), "{verb}: {plan:?} is not in the plan: {said}");
    browser.click("dialog .primary").await;
    browser.until("!document.querySelector('dialog')").await;
}

async fn each_action_shows_its_plan_first(browser: &Browser, service: &Service) {
    browser.open(&service.at(&format!("units/{RUNS}"))).await;
    // A plan that is not confirmed changes nothing.
    browser.click("[data-verb=stop]").await;
    browser.until("document.querySelector('dialog .primary:not([disabled])')").await;
    browser.press(&["Escape"]).await;
    browser.until("!document.querySelector('dialog')").await;
    assert_eq!(browser.get("document.activeElement.dataset.verb").await, json!("stop"));
    assert_eq!(desired(&service.store, RUNS).await, DesiredState::Launched);
    let before: Unit = record(&service.store, Key::Unit(RUNS.parse().unwrap())).await;
    act(browser, "restart", "restart").await;
    let after: Unit = record(&service.store, Key::Unit(RUNS.parse().unwrap())).await;
    assert_eq!(after.restarts, before.restarts + 1);
    act(browser, "stop", "1 step").await;
    assert_eq!(desired(&service.store, RUNS).await, DesiredState::Loaded);
    browser.until("document.querySelector('[data-verb=start]')").await;
    act(browser, "start", "1 step").await;
    assert_eq!(desired(&service.store, RUNS).await, DesiredState::Launched);

    browser.open(&service.at("machines/hel-01")).await;
    let flags = async || {
        let machine: Machine = record(&service.store, Key::Machine(machine(service, "hel-01"))).await;
        (machine.cordoned, machine.draining)
    };
    act(browser, "cordon", "takes no new ones").await;
    assert_eq!(flags().await, (true, false));
    browser.until("document.querySelector('[data-verb=uncordon]')").await;
    act(browser, "uncordon", "Uncordon hel-01").await;
    assert_eq!(flags().await, (false, false));
    browser.until("document.querySelector('[data-verb=cordon]')").await;
    act(browser, "drain", "moves").await;
    assert_eq!(flags().await, (true, true));
    browser.until("document.querySelector('#details .tag')?.textContent === 'drained'").await;
    act(browser, "uncordon", "Uncordon hel-01").await;
}

async fn events_and_changes_come_by_themselves(browser: &Browser, service: &Service) {
    browser.open(&service.at("events")).await;
    browser.shows("restart asked for by ada@desk").await;
    let at = cluster::now();
    let unit = RUNS.parse().unwrap();
    let asked = Event::new(at, None, Some(unit), EventKind::UnitRequested(Verb::Stop)).by("grace@desk");
    cluster::log(&service.store, asked).await;
    browser.shows("stop asked for by grace@desk").await;
    browser.until("document.querySelector('#live').textContent.includes('stop asked for by grace@desk')").await;

    browser.open(&service.at("units")).await;
    browser.shows("billing-api@1.service").await;
    let ops = crate::control::want("aaa.service", "[Service]\nExecStart=/bin/true\n");
    service.store.commit(vec![], ops).await.unwrap();
    browser.shows("aaa.service").await;
    browser.until("document.querySelector('.view .count').textContent === '49'").await;
}

async fn texts_of_hosts_are_no_markup(browser: &Browser, service: &Service) {
    let text = "[Unit]\nDescription=<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\n[Service]\nExecStart=/bin/true\n";
    service.store.commit(vec![], crate::control::want("hostile.service", text)).await.unwrap();
    browser.open(&service.at("units/hostile.service")).await;
    browser.until("document.querySelector('#details .evidence')?.textContent.includes('<img src=x')").await;
    browser.click("#tab-file").await;
    browser.shows("Description=<img src=x").await;
    assert_eq!(
        browser.get("document.querySelectorAll('#details img, #content img, #content script').length").await,
        json!(0)
    );
    assert_eq!(browser.get("document.title").await, json!("hostile.service · muster"));
    // The policy stops what comes in nevertheless: a style, a script, a request to another service.
    let style = "const it = document.createElement('style'); it.textContent = 'body { display: none }'; document.head.append(it); return getComputedStyle(document.body).display";
    assert_eq!(browser.run(style).await, json!("grid"));
    let script = "try { document.createElement('script').textContent = 'window.owned = true'; return 'taken' } catch (error) { return error.name }";
    assert_eq!(browser.run(script).await, json!("TypeError"));
    let elsewhere = "return new Promise((resolve) => { addEventListener('securitypolicyviolation', (it) => { if (it.effectiveDirective === 'connect-src') resolve(it.blockedURI) }); fetch('http://127.0.0.1:1/').catch(() => {}) })";
    assert_eq!(browser.run(elsewhere).await, json!("http://127.0.0.1:1/"));
    let console = browser.console().await;
    let is_stopped = |line: &str| ["TrustedScript", "Content Security Policy"].iter().any(|why| line.contains(why));
    assert!(console.iter().all(|line| is_expected(line) || is_stopped(line)), "{console:?}");
}

async fn a_phone_and_a_dark_desk_are_served_well(browser: &Browser, service: &Service) {
    browser.open(&service.at("machines")).await;
    browser.screen((390, 844, true), "dark").await;
    browser.until("innerWidth === 390").await;
    let wide =
        "document.documentElement.scrollWidth > innerWidth || document.querySelector('.grid').scrollWidth > innerWidth";
    assert_eq!(browser.get(wide).await, json!(false), "nothing is wider than the screen");
    let nav = browser.get("document.querySelector('#nav').getBoundingClientRect().bottom <= innerHeight").await;
    assert_eq!(nav, json!(true));
    let small = "[...document.querySelectorAll('#nav a, .row:not([hidden])')].filter((it) => it.getBoundingClientRect().height < 44).length";
    assert_eq!(browser.get(small).await, json!(0), "a finger hits each of them");
    let dark = browser.get("getComputedStyle(document.body).backgroundColor").await;
    browser.click(".grid-machines .row").await;
    browser.until("document.querySelector('#details').getBoundingClientRect().width === 390").await;
    browser.devtools("Emulation.clearDeviceMetricsOverride", &json!({})).await;
    browser.screen((1360, 860, false), "light").await;
    let light = browser.get("getComputedStyle(document.body).backgroundColor").await;
    assert_eq!((dark, light), (json!("rgb(19, 21, 20)"), json!("rgb(251, 251, 250)")));
}

async fn a_store_that_is_away_makes_the_page_stale(browser: &Browser, service: &Service) {
    browser.open(&service.at("machines/ams-02")).await;
    browser.until("document.querySelector('[data-verb=drain]')").await;
    service.removable.is_away.send_replace(true);
    browser.shows("Stale since ").await;
    browser.shows("The store does not answer").await;
    // Reads go on, and a change says why it fails.
    browser.click("[data-verb=drain]").await;
    browser.until("document.querySelector('dialog .primary:not([disabled])')").await;
    browser.click("dialog .primary").await;
    browser.shows("connection refused").await;
    browser.press(&["Escape"]).await;
    service.removable.is_away.send_replace(false);
    browser.until("!document.querySelector('#banner-stale')").await;
    let console = browser.console().await;
    assert!(console.iter().all(|line| is_expected(line) || line.contains("503 (Service Unavailable)")), "{console:?}");
}

async fn asked_for_nothing_elsewhere(browser: &Browser, service: &Service) {
    let origin = service.at("").trim_end_matches("/#/").to_owned();
    let asked = browser.get("performance.getEntriesByType('resource').map((it) => it.name)").await;
    let asked: Vec<&str> = asked.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let foreign = asked.iter().filter(|name| !name.starts_with(&origin) && !name.starts_with("data:"));
    assert_eq!(foreign.count(), 0, "{asked:?}");
    assert!(asked.iter().any(|name| name.contains("/api/v1/overview")), "{asked:?}");
}

async fn a_page_goes_on_when_its_service_returns(browser: &Browser, service: &mut Service) {
    browser.open(&service.at("events")).await;
    browser.until("document.querySelector('#connection-text').textContent === 'Live'").await;
    service.stop().await;
    browser.shows("Not connected since ").await;
    browser.shows("Connect now").await;
    // What happens meanwhile is not missed.
    let unit = "edge-cache@1.service".parse().unwrap();
    let asked = Event::new(cluster::now(), None, Some(unit), EventKind::UnitRequested(Verb::Stop)).by("linus@desk");
    cluster::log(&service.store, asked).await;
    let before = browser.get("document.querySelector('.grid-events').getAttribute('aria-rowcount')").await;
    service.start_again().await;
    browser.run("document.querySelector('#banner-connection button')?.click()").await;
    browser.shows("stop asked for by linus@desk").await;
    browser.until("!document.querySelector('#banner-connection')").await;
    let after = browser.get("document.querySelector('.grid-events').getAttribute('aria-rowcount')").await;
    let count = |value: &serde_json::Value| value.as_str().unwrap().parse::<usize>().unwrap();
    assert_eq!(count(&after), count(&before) + 1, "each event is shown once");
    let console = browser.console().await;
    let known =
        ["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET"];
    assert!(
        console.iter().all(|line| is_expected(line) || known.iter().any(|known| line.contains(known))),
        "{console:?}"
    );
}

async fn a_client_that_may_only_read_is_offered_no_action(browser: &Browser) {
    let service = Service::that_reads_only(4, 8).await;
    browser.open(&service.address).await;
    browser.shows("may read").await;
    browser.open(&service.at("machines/ams-01")).await;
    browser.shows("Machine-id").await;
    assert_eq!(browser.get("document.querySelectorAll('[data-verb]').length").await, json!(0));
    browser.open(&service.at(&format!("units/{RUNS}"))).await;
    browser.shows("Because").await;
    assert_eq!(browser.get("document.querySelectorAll('[data-verb]').length").await, json!(0));
}
