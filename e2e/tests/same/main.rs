//! What the other side already has is not sent.

mod by_hand;
