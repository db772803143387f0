//! The dashboard as a person has it: in a real Chromium, over its debugging pipe.
//!
//! Needs `chromium` in PATH, which is heavy, so it has a command of its own: `cargo xtask browser`.
//! Screenshots are left in `target/dashboard`.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::{path::PathBuf, process::Stdio, time::Duration};

use base64::Engine as _;
use rondel_proxy::session::SessionSettings;
use serde_json::{Value, json};
use support::{Server, TestProxy, admin, free_address, within};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

/// A browser with one page.
struct Browser {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    session: Value,
    calls: u64,
    /// What the page complained about.
    complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Browser {
    async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        // It speaks on the descriptors 3 and 4; the shell makes them of our two pipes.
        let command = format!(
            "exec chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run \
             --disable-background-networking --disable-component-update --disable-sync \
             --remote-debugging-pipe --user-data-dir={} 3<&0 4>&1 >/dev/null 2>/dev/null",
            profile.path().display()
        );
        let mut child = Command::new("sh")
            .args(["-c", &command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (from, complaints) = (BufReader::new(from), Vec::new());
        let mut browser =
            Self { child, to, from, session: Value::Null, calls: 0, complaints, _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attached = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session =
            browser.call("Target.attachToTarget", attached).await["sessionId"].clone();
        for domain in ["Page.enable", "Log.enable", "Runtime.enable"] {
            browser.call(domain, json!({})).await;
        }
        browser
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if !self.session.is_null() {
            message["sessionId"] = self.session.clone();
        }
        within(self.to.write_all(format!("{message}\0").as_bytes())).await.unwrap();
        loop {
            let mut bytes = Vec::new();
            within(self.from.read_until(0, &mut bytes)).await.unwrap();
            assert_eq!(bytes.pop(), Some(0), "the browser ended: is `chromium` installed?");
            let message: Value = serde_json::from_slice(&bytes).unwrap();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
            let complaint = ["Runtime.exceptionThrown", "Log.entryAdded"];
            if complaint.iter().any(|method| message["method"] == *method) {
                self.complaints.push(message["params"].to_string());
            }
        }
    }

    async fn evaluate(&mut self, script: &str) -> Value {
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let result = self.call("Runtime.evaluate", params).await;
        assert!(result["exceptionDetails"].is_null(), "{script}: {result}");
        result["result"]["value"].clone()
    }

    /// Waits until the script says true.
    async fn until(&mut self, script: &str) {
        let wanted = within(async {
            // While the page is being loaded, what it looks at may not be there.
            let tried =
                format!("(() => {{ try {{ return {script}; }} catch {{ return false; }} }})()");
            while self.evaluate(&tried).await != true {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        wanted.await;
    }

    async fn open(&mut self, url: &str, width: u32, scheme: &str) {
        let metrics = json!({
            "width": width, "height": 900, "deviceScaleFactor": 2, "mobile": width < 500
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await;
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        self.call("Page.navigate", json!({ "url": url })).await;
    }

    async fn press(&mut self, key: &str, code: u32, text: &str) {
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code
            });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// The whole page, however long it is.
    async fn screenshot(&mut self, name: &str) {
        let metrics = self.call("Page.getLayoutMetrics", json!({})).await;
        let (width, height) =
            (&metrics["cssContentSize"]["width"], &metrics["cssContentSize"]["height"]);
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let params = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.call("Page.captureScreenshot", params).await;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(picture["data"].as_str().unwrap())
            .unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../dashboard");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), bytes).unwrap();
    }

    async fn end(mut self) {
        assert_eq!(self.complaints, Vec::<String>::new());
        self.call("Browser.close", json!({})).await;
        within(self.child.wait()).await.unwrap();
    }
}

async fn proxy(servers: &str, token: Option<&str>) -> (TestProxy, String) {
    let proxy = TestProxy::start_with(servers, |settings| {
        settings.admin = Some(admin(token));
        settings.sessions = Some(SessionSettings::default());
    })
    .await;
    let url = format!("http://{}/", proxy.admin.unwrap());
    (proxy, url)
}

const ROW: &str = "[...document.querySelectorAll('.server')].find(row => \
                   row.querySelector('strong').textContent === ";

fn row(id: &str, then: &str) -> String {
    format!("{ROW}'{id}'){then}")
}

#[tokio::test]
#[ignore = "needs chromium: cargo xtask browser"]
async fn it_shows_the_ring_and_the_hand_follows_the_picks() {
    let (a, b) = (Server::named("a").await, Server::named("b").await);
    let servers = format!("{} name=alpha weight=2\n{} name=bravo", a.line(), b.line());
    let (proxy, url) = proxy(&servers, None).await;
    let mut browser = Browser::start().await;
    browser.open(&url, 1280, "light").await;
    browser.until("document.getElementById('live-text').textContent === 'live'").await;
    browser.until("document.querySelectorAll('#nodes .node').length === 3").await;
    let mut hand =
        browser.evaluate("document.getElementById('hand').getAttribute('transform')").await;
    for _ in 0..3 {
        let picked = proxy.get("/").await;
        let name = if picked.text() == "a" { "alpha" } else { "bravo" };
        // The hand is at rest where it was not before.
        browser
            .until(&format!(
                "document.querySelector('.node.lit .name')?.textContent === '{name}' && \
                 document.getElementById('hand').getAttribute('transform') !== {hand} && \
                 hand.at === hand.to"
            ))
            .await;
        let moved =
            browser.evaluate("document.getElementById('hand').getAttribute('transform')").await;
        hand = moved;
    }
    browser.until("document.getElementById('total').textContent === '3'").await;
    browser.until("document.getElementById('store').textContent === 'kept in memory'").await;
    browser.end().await;
}

#[tokio::test]
#[ignore = "needs chromium: cargo xtask browser"]
async fn a_server_is_added_weighed_drained_and_removed_with_the_keyboard_alone() {
    let (a, b) = (Server::named("a").await, Server::named("b").await);
    let (_proxy, url) = proxy(&format!("{} name=alpha", a.line()), None).await;
    let mut browser = Browser::start().await;
    browser.open(&url, 1280, "light").await;
    browser.until("document.querySelectorAll('.server').length === 1").await;

    browser.evaluate("document.getElementById('add-url').focus()").await;
    browser.call("Input.insertText", json!({ "text": b.line() })).await;
    browser.press("Tab", 9, "").await;
    browser.call("Input.insertText", json!({ "text": "bravo" })).await;
    browser.press("Enter", 13, "\r").await;
    browser.until(&row("bravo", " !== undefined")).await;
    browser.until("document.querySelectorAll('#nodes .node').length === 2").await;

    // From the weight on, Tab leads through the controls of the row in the order of the eye.
    browser.evaluate(&row("bravo", ".querySelector('.weigh button').focus()")).await;
    for label in ["Weight of bravo", "More weight for bravo"] {
        browser.until("!document.activeElement.disabled").await;
        browser.press("Tab", 9, "").await;
        let named = format!("document.activeElement.getAttribute('aria-label') === '{label}'");
        // The first button is off at weight 1, and Tab passes it over.
        if browser.evaluate(&named).await != true {
            browser
                .evaluate(&row("bravo", ".querySelector('.weigh button:last-child').focus()"))
                .await;
        }
    }
    browser.press("Enter", 13, "\r").await;
    browser.until(&row("bravo", ".querySelector('.weigh input').value === '2'")).await;
    browser.press("Tab", 9, "").await;
    assert_eq!(browser.evaluate("document.activeElement.textContent").await, "Drain");
    browser.press(" ", 32, " ").await;
    browser.until(&row("bravo", ".querySelector('.state').textContent === 'draining'")).await;
    browser.until("document.querySelectorAll('.node.passed').length === 2").await;
    browser.press("Tab", 9, "").await;
    browser.press("Enter", 13, "\r").await;
    assert_eq!(browser.evaluate("document.activeElement.textContent").await, "Really?");
    browser.press("Enter", 13, "\r").await;
    browser.until("document.querySelectorAll('.server').length === 1").await;
    browser.until("document.getElementById('message').textContent.includes('gone')").await;
    browser.end().await;
}

#[tokio::test]
#[ignore = "needs chromium: cargo xtask browser"]
async fn what_goes_wrong_is_said_and_names_from_outside_are_only_text() {
    let (_proxy, url) = proxy("http://127.0.0.1:1 name=alpha", None).await;
    let mut browser = Browser::start().await;
    browser.open(&url, 1280, "dark").await;
    browser.until("document.querySelectorAll('.server').length === 1").await;
    browser.evaluate("document.getElementById('add-url').value = 'ftp://<img src=x>'").await;
    browser.evaluate("document.querySelector('#add button').click()").await;
    browser.until("document.getElementById('message').textContent.includes('<img src=x>')").await;
    assert_eq!(browser.evaluate("document.images.length").await, 0);
    // The refusal itself is noted in the console.
    browser.complaints.retain(|complaint| !complaint.contains("400"));
    browser.end().await;
}

#[tokio::test]
#[ignore = "needs chromium: cargo xtask browser"]
async fn with_a_token_the_page_asks_for_it_and_then_goes_on() {
    let (_proxy, url) = proxy("http://127.0.0.1:1 name=alpha", Some("open-sesame")).await;
    let mut browser = Browser::start().await;
    browser.open(&url, 1280, "light").await;
    browser.until("document.activeElement.id === 'token'").await;
    assert_eq!(browser.evaluate("document.querySelectorAll('.server').length").await, 0);
    browser.call("Input.insertText", json!({ "text": "open-sesame" })).await;
    browser.press("Enter", 13, "\r").await;
    browser.until("document.querySelectorAll('.server').length === 1").await;
    assert_eq!(browser.evaluate("document.getElementById('token-form').hidden").await, true);
    browser.complaints.retain(|complaint| !complaint.contains("401"));
    browser.end().await;
}

#[tokio::test]
#[ignore = "needs chromium: cargo xtask browser"]
async fn it_fits_every_width_in_light_and_dark_with_few_servers_and_with_many() {
    let (a, b) = (Server::named("a").await, Server::named("b").await);
    let gone = free_address().await;
    let few = format!(
        "{} name=alpha weight=3\n{} name=bravo weight=2\nhttp://{gone} name=charlie\n\
         http://127.0.0.1:1 name=a-long-name-of-a-server-that-does-not-fit-anywhere",
        a.line(),
        b.line()
    );
    let many: Vec<String> =
        (1..60).map(|port| format!("http://127.0.0.2:{port} weight={}", 1 + port % 5)).collect();
    let mut browser = Browser::start().await;
    for (name, servers) in [("few", few), ("many", many.join("\n"))] {
        let (proxy, url) = proxy(&servers, None).await;
        for (width, scheme) in
            [(1280, "light"), (1280, "dark"), (768, "light"), (400, "light"), (400, "dark")]
        {
            browser.open(&url, width, scheme).await;
            browser.until("document.querySelectorAll('.server').length > 3").await;
            for _ in 0..5 {
                proxy.get("/").await;
            }
            browser.until("document.getElementById('total').textContent !== '0'").await;
            let wide = browser
                .evaluate(
                    "document.documentElement.scrollWidth - document.documentElement.clientWidth",
                )
                .await;
            assert_eq!(wide, 0, "{name} at {width} scrolls sideways");
            let outside = "[...document.querySelectorAll('#servers *, .tiles *, button, input')].filter(one => \
                 { const box = one.getBoundingClientRect(); return box.width && (box.right > innerWidth + 1 || box.left < -1); }).length";
            assert_eq!(browser.evaluate(outside).await, 0, "{name} at {width}");
            browser.screenshot(&format!("{name}-{width}-{scheme}")).await;
        }
    }
    browser.end().await;
}
