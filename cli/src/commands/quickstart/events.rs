//! What a quickstart shows: a live table on a terminal, else one plain line per event.

use std::io::Write as _;

use serde::Serialize;
use trust_domains::{Serial, SpiffeId, Timestamp};

use super::directory::Directory;
use crate::failure::Failure;
use crate::output::{Format, Output, table};

/// The identity as it was last delivered.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Delivery {
    /// The identity.
    pub(crate) spiffe_id: SpiffeId,
    /// The serial now.
    pub(crate) serial: Serial,
    /// When it was issued.
    pub(crate) issued_at: Timestamp,
    /// When it ends.
    pub(crate) expires_at: Timestamp,
    /// The latest moment of the next rotation: half of its life.
    pub(crate) next_rotation: Timestamp,
    /// How many updates this workload got.
    pub(crate) deliveries: u64,
    /// How many of them were a verified new certificate in place of an old one.
    pub(crate) rotations: u64,
}

/// A call of one workload by one of another trust domain, over mutual TLS.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Called {
    /// Who called.
    pub(crate) caller: SpiffeId,
    /// Who was called.
    pub(crate) service: SpiffeId,
    /// Whether each believed the other.
    pub(crate) accepted: bool,
    /// Who did not believe the other, and why.
    pub(crate) refused_by: Option<SpiffeId>,
    /// Why.
    pub(crate) reason: Option<String>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Called(&'a Called),
    Delivered(&'a Delivery),
    Step { text: &'a str },
}

/// Where and how events are shown.
pub(crate) struct Show {
    output: Output,
    live: bool,
    drawn: usize,
}

impl Show {
    /// Shows a live table when text goes to a terminal.
    pub(crate) fn new(output: Output, terminal: bool) -> Self {
        Self {
            output,
            live: terminal && output.format == Format::Text,
            drawn: 0,
        }
    }

    /// One step of bringing things up.
    pub(crate) fn step(&mut self, text: &str) {
        // The demonstration goes on when nobody reads any more: its exit code is the result.
        let _ = self.output.line(&Event::Step { text }, |_| text.to_owned());
    }

    /// One call between trust domains.
    pub(crate) fn called(&mut self, called: &Called) {
        let _ = self.output.line(&Event::Called(called), |_| called_line(called));
        // The next table is drawn below this line, not over it.
        self.drawn = 0;
    }

    /// One verified delivery.
    pub(crate) fn delivered(&mut self, delivery: &Delivery) {
        if self.live {
            self.redraw(delivery);
            return;
        }
        let _ = self.output.line(&Event::Delivered(delivery), |_| delivery_line(delivery));
    }

    /// How to go on.
    pub(crate) fn farewell(&self, directory: &Directory) -> Result<(), Failure> {
        let dir = directory.root().display();
        let partner = directory.partner()?;
        let (federated, partner) = match partner.mark()? {
            Some(_) => (
                " --federated",
                format!("\nthe partner: eval \"$(troth quickstart --dir {} --env)\"", partner.root().display()),
            ),
            None => ("", String::new()),
        };
        self.output.note(&format!(
            "\nall of it is in {dir}\n\
             to go on:    troth quickstart{federated} --rotations 0\n\
             in a shell:  eval \"$(troth quickstart --env)\", then for example: troth svid fetch x509\n\
             to remove:   troth quickstart --remove{partner}"
        ));
        Ok(())
    }

    fn redraw(&mut self, delivery: &Delivery) {
        let header = ["SPIFFE ID", "SERIAL", "ISSUED", "EXPIRES", "NEXT ROTATION BY", "DELIVERIES"];
        let row = [
            delivery.spiffe_id.to_string(),
            delivery.serial.to_string(),
            delivery.issued_at.to_string(),
            delivery.expires_at.to_string(),
            delivery.next_rotation.to_string(),
            delivery.deliveries.to_string(),
        ];
        let text = table(header, &[row]);
        let mut out = std::io::stdout().lock();
        if self.drawn > 0 {
            // Up over the old table, and clear from there.
            let _ = write!(out, "\x1b[{}A\x1b[J", self.drawn);
        }
        let _ = write!(out, "{text}");
        let _ = out.flush();
        self.drawn = text.lines().count();
    }
}

fn called_line(called: &Called) -> String {
    let Called { caller, service, .. } = called;
    match (&called.refused_by, &called.reason) {
        (Some(by), Some(reason)) => format!("refused: {caller} -> {service}, by {by}: {reason}"),
        _ => format!("mutual TLS: {caller} -> {service}, each verified the other"),
    }
}

fn delivery_line(delivery: &Delivery) -> String {
    let what = if delivery.rotations == 0 {
        "delivered and verified".to_owned()
    } else {
        format!("rotation {} verified", delivery.rotations)
    };
    format!(
        "{what}: {} serial {} issued {} expires {} next rotation by {}",
        delivery.spiffe_id, delivery.serial, delivery.issued_at, delivery.expires_at, delivery.next_rotation
    )
}
