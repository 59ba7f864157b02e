use std::time::*; use tidings::*; use futures::StreamExt;
#[tokio::test] async fn mdns() {
    let (h1,h2)=(tempfile::tempdir().unwrap(),tempfile::tempdir().unwrap());
    let a=Node::builder().dir(h1.path()).name("a").start().await.unwrap();
    println!("{:?}", a.listen_addresses());
    let t=Instant::now();
    let b=Node::builder().dir(h2.path()).name("b").start().await.unwrap();
    println!("start took {:?}", t.elapsed());
    let mut e=b.events(None);
    let r=tokio::time::timeout(Duration::from_secs(20), e.next()).await;
    println!("{:?} {r:?}", t.elapsed());
    let r=a.resolve("b").await; println!("{r:?}");
    let s=std::fs::read_to_string("/proc/self/status").unwrap(); println!("{}", s.lines().filter(|l| l.starts_with("VmRSS")||l.starts_with("Threads")).collect::<Vec<_>>().join(" "));
}
