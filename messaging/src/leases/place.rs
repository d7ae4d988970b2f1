//! Where a holder of leases is, so that others on the same machine can tell
//! that it is gone: a process that was killed cannot give anything back.

use std::{fs, io, path::Path};

use uuid::Uuid;

/// A new name for a holder in this process.
pub(super) fn holder() -> String {
    holder_of(std::process::id()).unwrap_or_else(|| Uuid::now_v7().to_string())
}

/// A new name for a holder in a process of this machine, if the machine says
/// where that is.
#[must_use]
pub fn holder_of(process: u32) -> Option<String> {
    let machine = machine()?;
    let Seen::Alive { since } = see(process) else { return None };
    Some(format!("{}@{machine}/{process}/{since}", Uuid::now_v7()))
}

/// Whether a holder was in a process of this machine that has ended. Of others
/// nothing is known.
pub(super) fn is_gone(holder: &str) -> bool {
    let Some((_, place)) = holder.split_once('@') else { return false };
    let mut parts = place.rsplitn(3, '/');
    let (Some(since), Some(process), Some(its_machine)) =
        (parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let Ok(process) = process.parse() else { return false };
    if machine().as_deref() != Some(its_machine) {
        return false;
    }
    match see(process) {
        Seen::Alive { since: known } => known != since,
        Seen::Ended => true,
        Seen::Unknown => false,
    }
}

/// This machine since it was started, as far as processes see each other on
/// it: containers have numbers of their own.
fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = fs::read_link("/proc/self/ns/pid").ok()?;
    // Where processes are hidden from each other nobody can tell.
    Path::new("/proc/1/stat").exists().then(|| format!("{}/{}", boot.trim(), numbers.display()))
}

enum Seen {
    Alive { since: String },
    Ended,
    Unknown,
}

fn see(process: u32) -> Seen {
    let stat = match fs::read_to_string(format!("/proc/{process}/stat")) {
        Ok(stat) => stat,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Seen::Ended,
        Err(_) => return Seen::Unknown,
    };
    // Its name stands in parentheses, and may hold anything.
    let Some((_, fields)) = stat.rsplit_once(')') else { return Seen::Unknown };
    let mut fields = fields.split_whitespace();
    // Dead, and nobody has taken notice.
    if matches!(fields.next(), Some("Z" | "X")) {
        return Seen::Ended;
    }
    // The 22nd field; the third was taken.
    fields.nth(18).map_or(Seen::Unknown, |since| Seen::Alive { since: since.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_holder_is_gone_when_its_process_is() {
        let mut process = Command::new("sleep").arg("60").spawn().unwrap();
        let holder = holder_of(process.id()).unwrap();
        assert!(!is_gone(&holder), "{holder}");
        process.kill().unwrap();
        process.wait().unwrap();
        assert!(is_gone(&holder), "{holder}");
        assert!(!is_gone(&super::holder()));
    }

    #[test]
    fn of_whoever_is_elsewhere_nothing_is_known() {
        let process = std::process::id();
        for holder in [
            "somebody".to_owned(),
            "somebody@elsewhere/pid:[1]/1/2".to_owned(),
            format!("somebody@{}/{process}", machine().unwrap()),
            format!("somebody@{}/x/2", machine().unwrap()),
        ] {
            assert!(!is_gone(&holder), "{holder}");
        }
        // The number is somebody else's now.
        assert!(is_gone(&format!("somebody@{}/{process}/2", machine().unwrap())));
    }
}
