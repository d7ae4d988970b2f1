//! Who may decide on an aggregate next, within this process.
//!
//! The version asserted by the append is what keeps decisions apart. Taking
//! turns only saves those of one process from losing races to each other.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mallbots_domain::id::AnyId;
use tokio::sync::OwnedMutexGuard;

#[derive(Debug, Default)]
pub(crate) struct Turns {
    queues: Arc<Mutex<HashMap<AnyId, Queue>>>,
}

#[derive(Debug, Default)]
struct Queue {
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Who waits or has the turn.
    members: usize,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _turn: OwnedMutexGuard<()>,
    _membership: Membership,
}

impl Turns {
    /// Waits for a turn, first come first served.
    pub(crate) async fn take(&self, stream: AnyId) -> Turn {
        let turn = {
            let mut queues = lock(&self.queues);
            let queue = queues.entry(stream).or_default();
            queue.members += 1;
            queue.turn.clone()
        };
        let membership = Membership { queues: self.queues.clone(), stream };
        Turn { _turn: turn.lock_owned().await, _membership: membership }
    }
}

/// That somebody is in a queue; the last to leave takes it down.
#[derive(Debug)]
struct Membership {
    queues: Arc<Mutex<HashMap<AnyId, Queue>>>,
    stream: AnyId,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut queues = lock(&self.queues);
        if let Some(queue) = queues.get_mut(&self.stream) {
            queue.members -= 1;
            if queue.members == 0 {
                queues.remove(&self.stream);
            }
        }
    }
}

fn lock(queues: &Mutex<HashMap<AnyId, Queue>>) -> MutexGuard<'_, HashMap<AnyId, Queue>> {
    queues.lock().unwrap_or_else(PoisonError::into_inner)
}
