//! Where traces are sent, and how many, by the names that OpenTelemetry's
//! other programs know too.

use super::{
    reader::Reader,
    values::{from_str, http_url},
};

/// Where traces are sent, and how many.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// The collector, as for OTLP over HTTP: `/v1/traces` is added.
    pub endpoint: String,
    /// As what this mall is known there.
    pub service_name: String,
    /// Of the requests that bring no trace along, in which share one begins:
    /// from 0 to 1. Who brings one decides itself.
    pub ratio: f64,
}

impl Reader {
    /// None without an endpoint.
    pub(super) fn traces(&mut self) -> Option<Traces> {
        // Empty is as good as not set, as it is for others who read it.
        let endpoint = self.read("otel_exporter_otlp_endpoint", endpoint, None);
        let service_name = self.read("otel_service_name", from_str, "mallbots".to_owned());
        let sampler = self.read("otel_traces_sampler", sampler, Sampler::Ratio);
        let ratio = self.read("otel_traces_sampler_arg", ratio, 1.0);
        let ratio = match sampler {
            Sampler::Ratio => ratio,
            Sampler::On => 1.0,
            Sampler::Off => 0.0,
        };
        Some(Traces { endpoint: endpoint?, service_name, ratio })
    }
}

/// When a trace begins; who is in one already stays in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sampler {
    On,
    Off,
    Ratio,
}

fn endpoint(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() { Ok(None) } else { http_url(text).map(Some) }
}

fn sampler(text: &str) -> Result<Sampler, String> {
    match text {
        "parentbased_always_on" => Ok(Sampler::On),
        "parentbased_always_off" => Ok(Sampler::Off),
        "parentbased_traceidratio" => Ok(Sampler::Ratio),
        _ => Err("must be parentbased_traceidratio, parentbased_always_on or \
                  parentbased_always_off: who brings a trace along decides whether it is recorded"
            .to_owned()),
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("must be a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::SettingsArgs, config::Config};

    fn load(variables: &[(&str, &str)]) -> Result<Option<Traces>, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let config = Config::load(&SettingsArgs::default(), variables);
        config.map(|config| config.traces).map_err(|error| error.to_string())
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

    #[test]
    fn nothing_is_traced_until_there_is_somewhere_to_send_it() {
        assert_eq!(load(&[("OTEL_TRACES_SAMPLER_ARG", "0.5")]), Ok(None));
        assert_eq!(load(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), Ok(None));
        let usual = load(&[ENDPOINT]).unwrap().unwrap();
        assert_eq!(usual.endpoint, "http://127.0.0.1:4318");
        assert_eq!((&*usual.service_name, usual.ratio), ("mallbots", 1.0));
        let own = load(&[ENDPOINT, ("MALLBOTS_OTEL_EXPORTER_OTLP_ENDPOINT", "http://own")]);
        assert_eq!(own.unwrap().unwrap().endpoint, "http://own");
    }

    #[test]
    fn how_many_are_traced_is_told_as_elsewhere() {
        for (sampler, arg, expected) in [
            ("parentbased_traceidratio", "0.1", Some(0.1)),
            ("parentbased_always_on", "0.1", Some(1.0)),
            ("parentbased_always_off", "0.1", Some(0.0)),
            ("always_on", "1", None),
            ("parentbased_traceidratio", "1.5", None),
            ("parentbased_traceidratio", "NaN", None),
        ] {
            let told = [("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", arg)];
            let read = load(&[ENDPOINT, told[0], told[1]]).map(|traces| traces.unwrap().ratio);
            assert_eq!(read.ok(), expected, "{sampler} {arg}");
        }
    }
}
