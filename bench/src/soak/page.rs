//! The table of docs/soak.md.

use super::clients::Worker;
use super::series::{ProcessSample, Series};
use std::fmt::Write;

const TABLE_HEAD: &str = "| until minute | memory: mean | peak | peak descriptors | peak threads | files compared | data compared | \
                    sessions kicked | commands cut | settings applied | rejected |\n\
                    |---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n";

/// The table, the server's resources before and after, and the verdict.
pub(super) fn text(
    workers: &[&Worker],
    series: &Series,
    begin: ProcessSample,
    end: ProcessSample,
    verdict: &str,
) -> String {
    let mut text = TABLE_HEAD.to_owned();
    for row in &series.rows {
        let _ = writeln!(text, "{row}");
    }
    let users: Vec<&str> = workers.iter().map(|worker| worker.user).collect();
    let held = |sample: ProcessSample| {
        format!("{} MiB, {} descriptors, {} threads", sample.memory >> 20, sample.descriptors, sample.threads)
    };
    let _ = write!(
        text,
        "\nClients: {}. No byte was wrong. Before the first client: {}. After the last: {}. {verdict}",
        users.join(", "),
        held(begin),
        held(end),
    );
    text
}
