#![cfg(feature = "docker")]
mod docker_common;
use docker_common::Bed;
use domain::ports::infrastructure::*;
use std::sync::Mutex;
#[derive(Default)]
struct T(Mutex<(Vec<String>, OutputCursor)>);
#[async_trait::async_trait]
impl OutputSink for T {
    async fn take(&self, l: Vec<OutputLine>, c: OutputCursor) -> Result<(), domain::ports::Cause> {
        let mut t = self.0.lock().unwrap();
        t.0.extend(l.into_iter().map(|l| l.text));
        t.1 = c;
        Ok(())
    }
}
#[tokio::test]
async fn timing() {
    let Some(bed) = Bed::new().await else { return };
    let t = std::time::Instant::now();
    let network = bed.network().await;
    eprintln!("network {:?}", t.elapsed());
    for _ in 0..3 {
        let t = std::time::Instant::now();
        let i = bed.engine.start(&bed.spec(&network, "exec sleep 600")).await.unwrap();
        eprintln!("start {:?}", t.elapsed());
        let t = std::time::Instant::now();
        bed.engine.listening_ports(&i.name).await.unwrap();
        eprintln!("ports {:?}", t.elapsed());
        let t = std::time::Instant::now();
        bed.engine.stop(&i.name, 10).await.unwrap();
        eprintln!("stop {:?}", t.elapsed());
        let t = std::time::Instant::now();
        bed.engine.remove(&i.name).await.unwrap();
        eprintln!("remove {:?}", t.elapsed());
    }
    bed.clear().await;
}
#[tokio::test]
async fn rotation() {
    let Some(bed) = Bed::new().await else { return };
    let network = bed.network().await;
    let n = 250_000;
    let mut spec = bed.spec(&network, &format!("seq -f 'line %06.0f xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' 1 {n} || (i=0; while [ $i -lt {n} ]; do i=$((i+1)); echo line $i xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done)"));
    spec.resources.cpu_millis = 1000;
    let t = std::time::Instant::now();
    bed.engine.start(&spec).await.unwrap();
    let taken = T::default();
    bed.engine.follow_output(&spec.name, OutputCursor::default(), &taken).await.unwrap();
    let lines = taken.0.lock().unwrap().0.clone();
    eprintln!("{} lines in {:?}; first {:?} last {:?}", lines.len(), t.elapsed(), lines.first().map(|l| l[..12].to_owned()), lines.last().map(|l| l[..12].to_owned()));
    let nums: Vec<i64> = lines.iter().filter_map(|l| l.split(' ').nth(1)?.parse().ok()).collect();
    let gaps: Vec<(i64,i64)> = nums.windows(2).filter(|w| w[1] != w[0]+1).map(|w| (w[0], w[1])).collect();
    eprintln!("gaps {gaps:?}");
    bed.clear().await;
}
