//! NATS: whether it is there, lets us in, has JetStream, and the stream is as
//! it should be.

use mallbots_messaging::checkup::{Broker, Storage, StreamState, look as ask};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{Finding, PATIENCE, causes, clock};
use crate::config::{Config, duties::Role};

const AREA: &str = "nats";
/// The oldest server whose streams and consumers can do what is asked of them.
const OLDEST: (u32, u32) = (2, 10);

pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let Some(nats) = &config.nats else { return Vec::new() };
    let options = nats.options("mallbots doctor".to_owned());
    match ask(&options, &nats.stream, PATIENCE).await {
        Ok(broker) => judge(&broker, config.duties.has(Role::Relay)),
        Err(error) => {
            let mend = "see that the server runs, and that NATS_URL and the login (nats_user, \
                        nats_token, nats_credentials) and TLS settings are its; the mall works \
                        without it meanwhile, from the ledger";
            vec![Finding::bad(AREA, format!("cannot be used: {}", causes(&error)), mend)]
        }
    }
}

fn judge(broker: &Broker, relays: bool) -> Vec<Finding> {
    let name = format!("NATS {}", broker.version);
    let mut findings = vec![if version(&broker.version) < Some(OLDEST) {
        let (major, minor) = OLDEST;
        let mend = format!("use {major}.{minor} or later");
        Finding::bad(AREA, format!("{name} is too old"), mend)
    } else {
        Finding::good(AREA, name)
    }];
    match &broker.jetstream {
        Ok(Storage { used, limit }) => {
            let of = limit.map_or_else(String::new, |limit| format!(" of {} MiB", limit >> 20));
            let found = format!("JetStream is on; {} MiB{of} are used", used >> 20);
            let is_full = limit.is_some_and(|limit| *used > limit / 10 * 9);
            findings.push(if is_full {
                let mend = "raise the account's limit, or lower stream_max_age or stream_max_bytes";
                Finding::warning(AREA, found, mend)
            } else {
                Finding::good(AREA, found)
            });
        }
        Err(reason) => {
            let mend = "start nats-server with --jetstream (or jetstream {} in its file), and let \
                        the account use it";
            findings.push(Finding::bad(AREA, format!("no JetStream: {reason}"), mend));
            return findings;
        }
    }
    findings.push(match &broker.stream {
        Ok(StreamState::AsConfigured(messages)) => {
            Finding::good(AREA, format!("the stream is as configured and has {messages} messages"))
        }
        Ok(StreamState::Missing) => {
            Finding::good(AREA, "there is no stream yet; the relay makes and fills it")
        }
        Ok(StreamState::Differs(differences)) => Finding::warning(
            AREA,
            format!("the stream is not as configured: {}", differences.join("; ")),
            "a process with the role relay changes it when it starts; where it cannot, delete the \
             stream: it is filled again from the ledger",
        ),
        Err(reason) => Finding::bad(
            AREA,
            format!("the stream cannot be asked for: {reason}"),
            "let this login publish on $JS.API.> and subscribe to its _INBOX.>; \
             deploy/nats/users.conf shows how",
        ),
    });
    match broker.may_publish {
        Some(false) if relays => findings.push(Finding::bad(
            AREA,
            "this login may not publish on mall.>, and this process is to relay",
            "log in as one who may, as deploy/nats/users.conf shows, or leave relay out of --roles",
        )),
        Some(true) => findings.push(Finding::good(AREA, "this login may publish the ledger")),
        Some(false) | None => {}
    }
    let moment = broker.time.as_deref().and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
    if let Some(moment) = moment {
        let ahead = (moment - OffsetDateTime::now_utc()).whole_microseconds();
        findings.push(clock("NATS", i64::try_from(ahead).unwrap_or(i64::MAX)));
    }
    findings
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    fn broker() -> Broker {
        Broker {
            version: "2.11.1".to_owned(),
            jetstream: Ok(Storage { used: 0, limit: None }),
            stream: Ok(StreamState::Missing),
            may_publish: Some(false),
            time: None,
        }
    }

    fn worst(broker: &Broker, relays: bool) -> Level {
        judge(broker, relays).iter().map(|finding| finding.level).max().unwrap()
    }

    #[test]
    fn what_nats_lacks_is_judged_by_who_needs_it() {
        assert_eq!(worst(&broker(), false), Level::Good);
        assert_eq!(worst(&broker(), true), Level::Bad);
        let old = Broker { version: "2.9.25".to_owned(), ..broker() };
        assert_eq!(worst(&old, false), Level::Bad);
        let full = Ok(Storage { used: 95 << 20, limit: Some(100 << 20) });
        assert_eq!(worst(&Broker { jetstream: full, ..broker() }, false), Level::Warning);
        let differs = Ok(StreamState::Differs(vec!["replicas is 1 and should be 3".to_owned()]));
        assert_eq!(worst(&Broker { stream: differs, ..broker() }, false), Level::Warning);
        assert_eq!(
            worst(&Broker { jetstream: Err("off".to_owned()), ..broker() }, false),
            Level::Bad
        );
    }
}
