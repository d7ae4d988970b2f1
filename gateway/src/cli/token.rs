//! `mallbots token`: a way in for somebody.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::Args;
use mallbots_domain::id::{CustomerId, StoreId};

use crate::{
    auth::{Issuer, Rights, Role},
    config::{Config, duration},
};

/// What the help says at its end.
pub(crate) const HELP: &str = "\
Examples:
  mallbots token --role admin                        an administrator, for an hour
  mallbots token --role customer --customer customer_01h455vb4pex5vsknk084sn02q
  mallbots token --role store_owner --store store_01h455vb4pex5vsknk084sn02q --lifetime 7d
  mallbots token --role depot --role admin --subject ada --schema
  export MALLBOTS_TOKEN=$(mallbots token --role admin); mallbots dlq list
  curl -H \"Authorization: Bearer $(mallbots token --role depot)\" …

The key is never an option: it is auth_secret (MALLBOTS_AUTH_SECRET, or the file
named by auth_secret_file). Without keys it is the mall's own, for development.

Exit codes:
  0  done
  1  it could not be made; the message says why
  2  wrong usage or settings";

/// Who is to come in.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct TokenCommand {
    /// What they are; may be given several times
    #[arg(id = "role", long = "role", value_name = "ROLE", required = true)]
    pub roles: Vec<Role>,

    /// As whom they are recorded [default: the customer, or the first role]
    #[arg(long, value_name = "NAME")]
    pub subject: Option<String>,

    /// The customer they are, with the role customer
    #[arg(long, value_name = "ID")]
    pub customer: Option<CustomerId>,

    /// A store they run, with the role store_owner; may be given several times
    #[expect(clippy::doc_markdown, reason = "clap shows the comment as it stands")]
    #[arg(id = "store", long = "store", value_name = "ID")]
    pub stores: Vec<StoreId>,

    /// Lets them ask what the schema is
    #[arg(long)]
    pub schema: bool,

    /// How long it counts
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub lifetime: Duration,
}

/// Makes the token and prints it.
pub async fn command(args: &TokenCommand, config: &Config) -> anyhow::Result<ExitCode> {
    let token = args.token(&Issuer::of(config).await?)?;
    writeln!(io::stdout(), "{token}").context("writing to standard output")?;
    Ok(ExitCode::SUCCESS)
}

impl TokenCommand {
    fn token(&self, issuer: &Issuer) -> anyhow::Result<String> {
        let rights = Rights {
            roles: self.roles.iter().copied().collect(),
            customer: self.customer,
            stores: self.stores.iter().copied().collect(),
            schema: self.schema,
        };
        let says = |what: &str, role: Role, given: bool| {
            ensure!(!given || rights.roles.has(role), "--{what} is of use with --role {role} only");
            Ok(())
        };
        says("customer", Role::Customer, self.customer.is_some())?;
        says("store", Role::StoreOwner, !self.stores.is_empty())?;
        let named = self.subject.clone().or_else(|| Some(self.customer?.to_string()));
        let first = || self.roles.first().map_or_else(String::new, ToString::to_string);
        issuer.mint(&named.unwrap_or_else(first), &rights, self.lifetime)
    }
}
