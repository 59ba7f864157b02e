mod nodes;
use futures::StreamExt;
use nodes::{QUIC, TCP, link, start};
use std::time::Instant;
use tidings::*;
async fn run(addr: &str) {
    let (home_a, home_b) = (
        tempfile::tempdir_in("/root").unwrap(),
        tempfile::tempdir_in("/root").unwrap(),
    );
    let a = start(home_a.path(), "ada", addr).await;
    let b = start(home_b.path(), "bob", addr).await;
    link(&a, &b).await;
    let bb = b.clone();
    let t = tokio::spawn(async move {
        let mut i = bb.inbox().ready_chunks(1000);
        while let Some(c) = i.next().await {
            bb.acknowledge(c.iter().map(|m| m.id).collect())
                .await
                .unwrap();
        }
    });
    let mut lat = vec![];
    for _ in 0..300 {
        let t0 = Instant::now();
        let h = a
            .send(Message::to(b.peer_id()).payload(vec![7u8; 256]))
            .await
            .unwrap();
        let t1 = t0.elapsed();
        h.wait(MessageState::Delivered).await.unwrap();
        lat.push((t0.elapsed(), t1));
    }
    lat.sort();
    println!(
        "{addr}: w1 median {:?} accepted {:?} p99 {:?}",
        lat[150].0, lat[150].1, lat[297].0
    );
    let n = 100_000u32;
    let t0 = Instant::now();
    futures::stream::iter(0..n)
        .map(|i| {
            let a = a.clone();
            let to = b.peer_id();
            async move {
                let mut p = vec![7u8; 256];
                p[..4].copy_from_slice(&i.to_le_bytes());
                let h = a.send(Message::to(to).payload(p)).await.unwrap();
                h.wait(MessageState::Delivered).await.unwrap();
            }
        })
        .buffer_unordered(2000)
        .for_each(|_| async {})
        .await;
    println!(
        "{addr}: w2000 {:.0} msg/s",
        f64::from(n) / t0.elapsed().as_secs_f64()
    );
    a.shutdown().await;
    b.shutdown().await;
    t.await.unwrap();
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bench() {
    run(QUIC).await;
    run(TCP).await;
    // floor
    use std::io::Write;
    let mut f = std::fs::File::create("/root/.fds").unwrap();
    let mut l = vec![];
    for _ in 0..200 {
        let t = Instant::now();
        f.write_all(&[0u8; 4096]).unwrap();
        f.sync_data().unwrap();
        l.push(t.elapsed());
    }
    l.sort();
    println!("fdatasync median {:?}", l[100]);
    std::fs::remove_file("/root/.fds").unwrap();
}
