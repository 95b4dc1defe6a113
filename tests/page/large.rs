//! The page with 1,000 machines and 10,000 units, measured.

use std::fs;
use std::time::Duration;
use std::time::Instant;

use muster::core::model::Event;
use muster::core::model::EventKind;
use muster::core::model::Verb;

use super::browser;
use super::browser::Browser;
use super::cluster;
use super::service::Service;
use crate::store::skip;

/// How long the page is left alone for the measurement of what it costs.
const IDLE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures, for docs/benchmarks.md: a quiet machine and an optimised build are needed"]
async fn ten_thousand_units_are_shown_at_once_and_cost_nothing_while_nothing_happens() {
    if !browser::installed() {
        return skip("Chromium is not installed (Debian packages chromium and chromium-driver)");
    }
    let (service, browser) = (Service::start(1000, 10_000).await, Browser::start().await);
    browser.open(&service.address).await;
    browser.until("performance.getEntriesByName('rows').length").await;
    let token = "sessionStorage.getItem('muster-token')";
    assert!(browser.get(token).await.is_string());
    let mut paints = Vec::new();
    for _ in 0..5 {
        browser.open("about:blank").await;
        browser.open(&service.at("units")).await;
        browser.until("performance.getEntriesByName('rows').length").await;
        paints.push(browser.get("performance.getEntriesByName('rows')[0].startTime").await.as_f64().unwrap());
    }
    paints.sort_by(f64::total_cmp);
    let rows = browser.get("document.querySelectorAll('.row').length").await;
    let frames = browser.get(FRAMES).await;
    let took = event(&browser, &service).await;
    let idle = idle(&browser).await;
    eprintln!(
        "page: rows of 1,000 machines and 10,000 units after {:.0} ms ({:.0} to {:.0}); {rows} rows are elements; \
         the longest of 120 frames while scrolling took {frames} ms; an event after {took:?}; idle {idle:.2} % of a core",
        paints[2], paints[0], paints[4]
    );
    assert!(took < Duration::from_millis(300));
    assert!(paints[2] < 1000.0 && rows.as_u64().unwrap() < 100 && idle < 2.0);
    browser.end().await;
}

/// Scrolls through the whole list, and returns how long the longest frame took.
const FRAMES: &str = "new Promise((resolve) => {
    const grid = document.querySelector('.grid-units');
    let [last, longest, count] = [performance.now(), 0, 0];
    const step = (at) => {
        longest = Math.max(longest, at - last);
        last = at;
        grid.scrollTop = (count / 120) * grid.scrollHeight;
        if (count++ < 120) requestAnimationFrame(step); else resolve(Math.round(longest));
    };
    requestAnimationFrame((at) => { last = at; requestAnimationFrame(step); });
})";

/// Returns how long an event takes from the store to the page.
async fn event(browser: &Browser, service: &Service) -> Duration {
    browser.open(&service.at("events")).await;
    browser.shows("runs again").await;
    let unit = super::RUNS.parse().unwrap();
    let asked = Event::new(cluster::now(), None, Some(unit), EventKind::UnitRequested(Verb::Stop)).by("grace@desk");
    let began = Instant::now();
    cluster::log(&service.store, asked).await;
    browser.shows("stop asked for by grace@desk").await;
    began.elapsed()
}

/// Returns the share of a core that the processes of Chromium take while nothing happens, in percent.
async fn idle(browser: &Browser) -> f64 {
    let (began, before) = (Instant::now(), ticks(browser.process()));
    tokio::time::sleep(IDLE).await;
    let spent = f64::from(u32::try_from(ticks(browser.process()) - before).unwrap()) / 100.0;
    100.0 * spent / began.elapsed().as_secs_f64()
}

/// Returns the processor time of a process and all below it, in hundredths of a second.
fn ticks(root: u32) -> u64 {
    let stats: Vec<Vec<String>> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("stat")).ok())
        .map(|text| {
            let (id, rest) = text.split_once(" (").unwrap();
            let fields = rest.rsplit_once(") ").unwrap().1.split(' ').map(str::to_owned);
            std::iter::once(id.to_owned()).chain(fields).collect()
        })
        .collect();
    let mut family = vec![root.to_string()];
    let mut next = 0;
    while next < family.len() {
        let children = stats.iter().filter(|stat| stat[2] == family[next]).map(|stat| stat[0].clone());
        let children: Vec<String> = children.collect();
        family.extend(children);
        next += 1;
    }
    let time = |stat: &Vec<String>| stat[12].parse::<u64>().unwrap() + stat[13].parse::<u64>().unwrap();
    stats.iter().filter(|stat| family.contains(&stat[0])).map(time).sum()
}
