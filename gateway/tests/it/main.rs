//! Everything that is tested through a real socket.

mod transport;
