//! Plain enums on the wire: an index that is read as an integer first and
//! converted afterwards (sudo-rs, `bin_serde.rs`), with one word for people.

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, bincode::Encode)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word used in code, flags and documents.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl<C> bincode::Decode<C> for $name {
            fn decode<D: bincode::de::Decoder<Context = C>>(
                decoder: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                let index = <u32 as bincode::Decode<C>>::decode(decoder)?;
                usize::try_from(index)
                    .ok()
                    .and_then(|i| Self::ALL.get(i).copied())
                    .ok_or(bincode::error::DecodeError::Other(stringify!($name)))
            }
        }

        bincode::impl_borrow_decode!($name);
    };
}
pub(crate) use wire_enum;
