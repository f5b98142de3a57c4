//! The ZMailer door: a transport agent behind ZMailer's scheduler, in the place of its smtp agent.
//!
//! The scheduler gives one job a line: a control file and a host. The agent locks the recipients in that file, delivers
//! to them through the engine, marks each and reports it. One process has many jobs and many hosts at once; the lanes
//! behind it are those of every other door.
//!
//! `line` is what the scheduler says, `output` what it hears, `report` the wording. `control` reads control
//! files, `words` their words, `recipient` their recipients; `marks` writes in them. `jobs` is what is in hand,
//! `begin` a job's beginning, `parcel` its end, `agent` the threads. `route` makes next hops of hosts,
//! `outages` remembers of which the scheduler was told that they are dead.

mod agent;
mod begin;
pub mod control;
mod jobs;
mod line;
mod marks;
mod outages;
mod output;
mod parcel;
mod recipient;
mod report;
mod route;
mod verbose;
mod words;

pub use agent::{Agent, AgentOptions};
pub use line::{JobPath, Order};
pub use output::{Comments, Hear, Output};
pub use route::Route;
