//! The pictures in the documents.

use std::path::Path;

use super::MACHINES;
use super::browser;
use super::browser::Browser;
use super::service::Service;
use crate::store::skip;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it writes the pictures of docs/page.md"]
async fn the_pictures_of_the_documents_are_made() {
    if !browser::installed() {
        return skip("Chromium is not installed (Debian packages chromium and chromium-driver)");
    }
    let (service, browser) = (Service::start(2 * MACHINES, 180).await, Browser::start().await);
    let picture = async |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/page-{name}.png"));
        browser.picture(&path).await;
    };
    browser.open(&service.address).await;
    browser.screen((1280, 800, false), "light").await;
    browser.shows("Live").await;
    browser.until("document.querySelector('#count-problems').textContent").await;
    browser.open(&service.at("machines/fra-02")).await;
    browser.shows("LATEST EVENTS").await;
    picture("machines").await;
    browser.open(&service.at("machines/ams-01")).await;
    browser.click("[data-verb=drain]").await;
    browser.until("document.querySelector('dialog .primary:not([disabled])')").await;
    picture("plan").await;
    browser.press(&["Escape"]).await;
    browser.screen((1280, 800, false), "dark").await;
    browser.open(&service.at("units/search-index@2.service")).await;
    browser.shows("Because").await;
    picture("dark").await;
    browser.screen((390, 844, true), "light").await;
    browser.open(&service.at("units")).await;
    browser.until("document.querySelector('#details').hidden").await;
    picture("phone").await;
    browser.end().await;
}
