//! Servers that come and go while the proxy runs.

#![expect(clippy::unwrap_used, reason = "in a test, what fails is to be seen at once")]

mod support;

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc, time::Duration};

use rondel_proxy::reload::{self, Source};
use rustix::process::Signal;
use support::{Server, TestProxy, Wire, lines, process::ProxyProcess, until};
use tokio::sync::mpsc;

/// A proxy that follows a file of this name, which is there already.
async fn following(file: &Path) -> (TestProxy, mpsc::Sender<()>) {
    let proxy = TestProxy::start(fs::read_to_string(file).unwrap()).await;
    let (ask, asked) = mpsc::channel(1);
    let source = Source::Servers(file.to_owned());
    tokio::spawn(reload::follow(Arc::clone(&proxy.roster), source, proxy.address, asked));
    (proxy, ask)
}

fn ids(proxy: &TestProxy) -> Vec<String> {
    proxy.roster.servers().iter().map(|server| server.id().to_owned()).collect()
}

async fn turns(client: &mut Wire, count: usize) -> String {
    let mut turns = String::new();
    for _ in 0..count {
        turns += client.get("/").await.text();
    }
    turns
}

#[tokio::test]
async fn a_signal_reloads_and_no_client_notices_but_by_who_answers() {
    let (a, b, c) = (Server::named("a").await, Server::named("b").await, Server::named("c").await);
    let mut proxy = ProxyProcess::start(&lines(&[&a, &b]), &["--session", "off"]).await;
    let mut client = Wire::connect(proxy.address).await;
    assert_eq!(turns(&mut client, 3).await, "aba");
    fs::write(proxy.file(), lines(&[&a, &b, &c])).unwrap();
    proxy.signal(Signal::HUP);
    proxy.says(r#""added":1"#).await;
    assert_eq!(turns(&mut client, 5).await, "bcabc");
    fs::write(proxy.file(), lines(&[&a, &c])).unwrap();
    proxy.signal(Signal::HUP);
    proxy.says(r#""removed":1"#).await;
    assert_eq!(turns(&mut client, 4).await, "acac");
}

#[tokio::test]
async fn a_file_with_an_error_changes_nothing_and_the_log_says_where_it_is() {
    let (a, b) = (Server::named("a").await, Server::named("b").await);
    let mut proxy = ProxyProcess::start(&lines(&[&a, &b]), &["--session", "off"]).await;
    fs::write(proxy.file(), "http://localhost:1\nnonsense\n").unwrap();
    let said = proxy.says(":2: ").await;
    assert!(said.contains("servers.txt:2: `nonsense`"), "{said}");
    let mut client = Wire::connect(proxy.address).await;
    assert_eq!(turns(&mut client, 4).await, "abab");
    fs::write(proxy.file(), format!("http://{}\n", proxy.address)).unwrap();
    proxy.says("is where this proxy itself listens").await;
    fs::remove_file(proxy.file()).unwrap();
    proxy.signal(Signal::HUP);
    proxy.says("servers not reloaded").await;
    assert_eq!(turns(&mut client, 2).await, "ab");
}

#[tokio::test]
async fn a_file_that_is_written_in_place_or_put_in_its_place_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("servers.txt");
    fs::write(&file, "http://a name=a\n").unwrap();
    let (proxy, _ask) = following(&file).await;
    for round in 0..3 {
        fs::write(&file, format!("http://b name=b{round}\n")).unwrap();
        until(|| ids(&proxy) == [format!("b{round}")]).await;
        // As vim, sed -i and most others do.
        let new = folder.path().join(".servers.txt.new");
        fs::write(&new, format!("http://c name=c{round}\n")).unwrap();
        fs::rename(&new, &file).unwrap();
        until(|| ids(&proxy) == [format!("c{round}")]).await;
        // As others do.
        fs::rename(&file, folder.path().join("servers.txt~")).unwrap();
        fs::write(&file, format!("http://d name=d{round}\n")).unwrap();
        until(|| ids(&proxy) == [format!("d{round}")]).await;
    }
}

#[tokio::test]
async fn a_link_that_is_turned_as_kubernetes_does_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let version = |name: &str, text: &str| {
        fs::create_dir(path(name)).unwrap();
        fs::write(path(name).join("servers.txt"), text).unwrap();
    };
    version("..1", "http://a name=a\n");
    symlink("..1", path("..data")).unwrap();
    symlink("..data/servers.txt", path("servers.txt")).unwrap();
    let (proxy, _ask) = following(&path("servers.txt")).await;
    for round in 2..5 {
        version(&format!("..{round}"), &format!("http://a name=a{round}\n"));
        symlink(format!("..{round}"), path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
        fs::remove_dir_all(path(&format!("..{}", round - 1))).unwrap();
        until(|| ids(&proxy) == [format!("a{round}")]).await;
    }
    // Written where it really is.
    fs::write(path("..4/servers.txt"), "http://a name=z\n").unwrap();
    until(|| ids(&proxy) == ["z"]).await;
}

#[tokio::test]
async fn a_file_that_is_half_written_is_left_alone_until_it_is_whole() {
    use std::io::Write as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("servers.txt");
    let list: Vec<String> = (0..20).map(|at| format!("http://s{at} name=s{at}\n")).collect();
    fs::write(&file, list.concat()).unwrap();
    let (proxy, _ask) = following(&file).await;
    let first = proxy.roster.find("s19").unwrap();
    let mut writing = fs::File::create(&file).unwrap();
    for line in &list {
        writing.write_all(line.as_bytes()).unwrap();
        writing.flush().unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(proxy.roster.servers().len(), 20);
    }
    writing.write_all(b"http://new name=new\n").unwrap();
    drop(writing);
    until(|| proxy.roster.servers().len() == 21).await;
    assert!(Arc::ptr_eq(&first, &proxy.roster.find("s19").unwrap()), "it was let go in between");
}

#[tokio::test]
async fn asking_brings_back_what_was_changed_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("servers.txt");
    fs::write(&file, "http://a name=a\nhttp://b name=b\n").unwrap();
    let (proxy, ask) = following(&file).await;
    proxy.roster.remove("a").unwrap();
    proxy.roster.set_weight("b", 3).unwrap();
    ask.send(()).await.unwrap();
    until(|| ids(&proxy) == ["b", "a"]).await;
    assert_eq!(proxy.roster.find("b").unwrap().weight(), 1);
}

#[tokio::test]
async fn the_servers_of_a_configuration_file_are_followed_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rondel.toml");
    fs::write(&file, "[[servers]]\nurl = \"http://a\"\nname = \"a\"\n").unwrap();
    let source = Source::Config(file.clone());
    let proxy = TestProxy::start("http://a name=a").await;
    let (_ask, asked) = mpsc::channel(1);
    tokio::spawn(reload::follow(Arc::clone(&proxy.roster), source, proxy.address, asked));
    fs::write(&file, "[[servers]]\nurl = \"http://b\"\nname = \"b\"\n").unwrap();
    until(|| ids(&proxy) == ["b"]).await;
}
