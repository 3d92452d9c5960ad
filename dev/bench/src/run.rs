//! Runs the parts of the benchmark.

use std::time::Instant;

use crate::error::Error;
use crate::figures::{self, Figure, say};
use crate::freeze::Thaw;
use crate::options::BenchOptions;
use crate::part::Part;
use crate::request::Request;
use crate::rest::{DIRECTIVE, READ, WRITE};
use crate::surroundings::{AWS_ROUND_TRIP, Surroundings};
use crate::{artifact, cache_hit, cold, concurrent, door, freeze, memory, rest, upkeep, warm};

/// Runs the parts, prints the figures and writes them to the report.
///
/// A missed bound is not an error, because the result depends on the machine.
///
/// # Errors
/// If a part cannot be measured, or if a command fails, runs twice or gets the reply to another command.
pub(crate) async fn run(options: BenchOptions) -> Result<(), Error> {
    let began = Instant::now();
    let surroundings = Surroundings::start(options.bootstrap.clone(), options.bare.clone()).await?;
    say(&format!(
        "R is the round trip to the home. The round trip to AWS is {} ms. The floor is measured in the \
         same run.",
        figures::ms(AWS_ROUND_TRIP),
    ));
    let mut all = Vec::new();
    for &part in &options.parts {
        let figures = measure(part, &surroundings, &options).await?;
        for figure in &figures {
            figure.print();
        }
        all.extend(figures);
        // Written after each part, so that a failure does not lose the figures before it.
        figures::write(&all, &options.report)?;
    }
    say(&format!(
        "\n{} of {} bounds held. Wrote {} in {:.0} s.",
        all.iter().filter(|figure| figure.held).count(),
        all.len(),
        options.report.display(),
        began.elapsed().as_secs_f64(),
    ));
    Ok(())
}

/// Runs one part and prints the heads of its table.
async fn measure(
    part: Part,
    surroundings: &Surroundings,
    options: &BenchOptions,
) -> Result<Vec<Figure>, Error> {
    let began = Instant::now();
    let rest = |request, names| rest::measure(surroundings, request, names, options.freeze);
    let (what, figures) = match part {
        Part::WarmCommand => (
            warm::WHAT,
            warm::measure(surroundings, part.name(), Request::Command).await?,
        ),
        Part::ColdFirstCommand => (
            cold::WHAT,
            cold::measure(surroundings, part.name(), Request::Command).await?,
        ),
        Part::AfterFreezeCommand => {
            let thaw = Thaw {
                request: Request::Command,
                is_cut: false,
            };
            let measured = freeze::measure(surroundings, part.name(), thaw, options.freeze);
            (freeze::WHAT, measured.await?)
        }
        Part::AlexaDirective => (rest::WHAT, rest(Request::Directive, &DIRECTIVE).await?),
        Part::RestWrite => (rest::WHAT, rest(Request::Write, &WRITE).await?),
        Part::RestRead => (rest::WHAT, rest(Request::Read, &READ).await?),
        Part::Concurrent64 => (
            concurrent::WHAT,
            concurrent::measure(surroundings, options.concurrent_commands).await?,
        ),
        Part::Memory => (memory::WHAT, memory::measure(surroundings).await?),
        Part::Artifact => (artifact::WHAT, artifact::measure(surroundings).await?),
        Part::CacheHit => (cache_hit::WHAT, cache_hit::measure(surroundings).await?),
        Part::Door => (door::WHAT, door::measure(surroundings).await?),
        Part::Upkeep => (upkeep::WHAT, upkeep::measure(surroundings).await?),
    };
    let seconds = began.elapsed().as_secs_f64();
    say(&format!("\n{}: {what} ({seconds:.0} s)", part.name()));
    figures::print_heads();
    Ok(figures)
}
